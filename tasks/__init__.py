"""The Celery tasks, and `submit()` for those who produce transactions."""

from tasks.receipts import Level, Receipt, Verdict
from tasks.submission import SubmissionFailed, submit

__all__ = ["Level", "Receipt", "SubmissionFailed", "Verdict", "submit"]
