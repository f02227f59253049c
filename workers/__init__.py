"""What runs: the Celery app of the workers, the launcher of an instance, the command line."""

from workers.rooms import claim

__all__ = ["app"]

claim()
