"""Running a dead letter again, for the command line and Flower; and how dead letters are named for people."""

from __future__ import annotations

from collections.abc import Callable, Container

import base58

from banking.intake.dead_letters import TRANSACTION, ReplayOutcome, TransactionDeadLetters
from config.app import app
from config.errors import TrunklineError
from recovery.dead_letters import DeadLetter
from recovery.task.dead_letters import send_again
from tasks.enqueue import BrokerUnavailable, enqueue

_SIGNATURE_BYTES = 64
_CELERYS_OWN = "celery."


class NotReplayable(TrunklineError):
    """The letter holds nothing that could run."""


class NoSuchLetter(TrunklineError):
    """There is no such dead letter (any more)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no dead letter {name}. `trunkline deadletter list` shows those there are.")


def replay_letter(
    dead_letters: TransactionDeadLetters,
    letter: DeadLetter,
    tasks: Container[str],
    notify: Callable[[str], object],
) -> str:
    """Run `letter` again, with all its attempts; returns what was done. Raises NotReplayable, NoSuchLetter.

    Only what is named in `tasks` may be sent again. `notify` is given what went wrong beside it and needs nothing done.
    """
    if letter.kind == TRANSACTION:
        return _replay_transaction(dead_letters, letter, notify)
    name = letter_name(letter.id)
    if letter.kind not in tasks or letter.kind.startswith(_CELERYS_OWN):
        raise NotReplayable(f"{name} is {letter.kind!r}, nothing that could run again; `trunkline deadletter drop` it.")
    sent: Callable[[DeadLetter], str] = lambda found: send_again(app, found)  # noqa: E731 - typed for replay
    if not dead_letters.letters.replay(letter.id, sent):
        raise NoSuchLetter(name)
    return f"Sent {letter.kind} {name} again."


def _replay_transaction(
    dead_letters: TransactionDeadLetters, letter: DeadLetter, notify: Callable[[str], object]
) -> str:
    replayed, name = dead_letters.replay(letter), letter_name(letter.id)
    match replayed.outcome:
        case ReplayOutcome.GONE:
            raise NoSuchLetter(name)
        case ReplayOutcome.RESOLVED:
            return f"{name} has its outcome already; the letter is dropped."
        case ReplayOutcome.REPLAYED:
            # From here on the sweeper would bring it as well; one by one, for it may kill its worker again.
            try:
                enqueue(app, [letter.payload], batch_size=1, enqueued_at=replayed.at, isolate=True)
            except BrokerUnavailable as error:
                notify(f"{error}; the sweeper will enqueue it.")
            return f"{name} is back in intake."


def letter_key(name: str) -> bytes:
    """The letter's id as stored: 64 raw bytes for a transaction's signature, else text."""
    try:
        raw = base58.b58decode(name)
    except ValueError:
        return name.encode()
    return bytes(raw) if len(raw) == _SIGNATURE_BYTES else name.encode()


def letter_name(id: bytes) -> str:
    """A letter's id for people, as `letter_key` reads it."""
    if len(id) == _SIGNATURE_BYTES:
        return base58.b58encode(id).decode()
    return id.decode(errors="backslashreplace")
