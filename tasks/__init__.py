"""The Celery tasks, and `submit()` for those who produce transactions."""

from tasks.receipts import Receipt, Verdict
from tasks.submission import SubmissionFailed, submit

__all__ = ["Receipt", "SubmissionFailed", "Verdict", "submit"]
