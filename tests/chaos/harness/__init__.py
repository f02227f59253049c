"""A whole instance of real processes, each with a link to Redis of its own, and everything that can be done to it."""
