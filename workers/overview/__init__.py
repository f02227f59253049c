"""What an instance is doing, as one snapshot: read within bounds, for the command line, Flower and metrics."""

__all__ = [
    "alerts",
    "broker_depth",
    "diagnosis",
    "doctor",
    "facts",
    "gathering",
    "model",
    "operations",
    "replaying",
    "trace",
]
