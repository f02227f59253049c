"""The load generator and what it is made of."""
