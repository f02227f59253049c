"""The load generator: signed transfers among funded accounts, and every outcome counted."""

__all__ = ["generator", "lines", "report", "tracking", "transfers"]
