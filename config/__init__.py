"""Settings, Celery's configuration, queue names and logs: what every other package may import."""

from config.settings import Settings, get_settings

__all__ = ["Settings", "get_settings"]
