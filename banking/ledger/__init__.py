"""The ledger in Redis: its keys, its Lua scripts, its journal, and the bytes of its records."""

from banking.ledger.commit_request import CommitRequest
from banking.ledger.journal import JournalEntry, read_images, read_journal
from banking.ledger.ledger import CommitResult, Ledger, LoadedState, State
from banking.ledger.records import Outcome, Result

__all__ = [
    "CommitRequest",
    "CommitResult",
    "JournalEntry",
    "Ledger",
    "LoadedState",
    "Outcome",
    "Result",
    "State",
    "read_images",
    "read_journal",
]
