"""The installed program, with real processes."""
