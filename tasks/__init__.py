"""The Celery tasks, and `submit()` for those who produce transactions."""

from banking.reasons import Reason
from tasks.receipts import Level, Receipt, Verdict
from tasks.submission import SubmissionFailed, submit

__all__ = ["Level", "Reason", "Receipt", "SubmissionFailed", "Verdict", "submit"]
