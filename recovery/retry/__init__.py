"""Retry policies for sync, async and Celery code, and the retry budget that a fleet shares."""
