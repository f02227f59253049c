"""A Celery task class that retries, parks and gives up by policy, and never loses work between two messages."""
