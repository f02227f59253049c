"""What runs: the Celery app with its boot steps, the launcher, the command line."""

from workers.rooms import claim

claim()
