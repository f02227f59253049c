"""The command line: the commands in `commands/`, one a file, and what they share."""

__all__ = ["program"]
