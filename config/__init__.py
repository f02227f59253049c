"""Settings, presets, Celery configuration: what every other room may import."""

from config.settings import Settings, get_settings

__all__ = ["Settings", "get_settings"]
