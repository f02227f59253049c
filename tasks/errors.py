"""Errors that the maintenance tasks expect now and then."""

from __future__ import annotations

from banking.errors import LedgerMissing
from recovery.errors import TransientError

#: The ledger or its archive is away, being restored, or not made yet. Beat calls again in a moment, so one line in
#: the log will do instead of a traceback.
LEDGER_AWAY = (TransientError, LedgerMissing)
