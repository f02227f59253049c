"""The Celery tasks, and `submit()` for producers of transactions."""

from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path


def _refuse_foreign_config() -> None:
    """Raise ImportError when `config` is a module of the caller's own: a process has one module of a name."""
    found = _find_spec("config")
    where = found.origin if found is not None else None
    if where is None or _Path(where).resolve().parent.parent != _Path(__file__).resolve().parent.parent:
        raise ImportError(
            f"`config` is {where or 'another folder'} here, but `tasks` needs Trunkline's package of that name. Rename "
            "that module or put it into a package of yours; or send the Celery task `transactions.process` by its "
            "name, which needs nothing of Trunkline.",
            name="config",
        )


_refuse_foreign_config()

from banking.intake.reasons import Reason  # noqa: E402 - a foreign `config` is told of first
from tasks.receipts import Level, Receipt, Verdict  # noqa: E402
from tasks.submission import SubmissionFailed, submit  # noqa: E402

__all__ = ["Level", "Reason", "Receipt", "SubmissionFailed", "Verdict", "submit"]
