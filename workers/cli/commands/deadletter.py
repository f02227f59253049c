"""`deadletter`: what was given up, and another chance for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import base58
import click
from kombu.exceptions import OperationalError

from banking.intake.dead_letters import TRANSACTION, ReplayOutcome, TransactionDeadLetters
from config.app import app
from recovery.dead_letters import DeadLetter, DeadLetters
from recovery.task.dead_letters import send_again
from tasks.enqueue import enqueue
from workers.cli.connection import open_ledger
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline

_PAGE = 500
_SIGNATURE_BYTES = 64


@trunkline.group()
def deadletter() -> None:
    """Look at the dead letters, run them again, or drop them."""


@deadletter.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For scripts: one JSON object a line.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The most to show.")
def list_letters(as_json: bool, limit: int) -> None:
    """List dead letters: id, kind, attempts, reason."""
    letters = _letters()
    shown = 0
    for letter in _all(letters):
        if shown == limit:
            click.echo(f"... and {letters.count() - limit} more; see --limit.", err=True)
            return
        shown += 1
        click.echo(json.dumps(_facts(letter)) if as_json else _line(letter))
    if not shown and not as_json:
        click.echo("No dead letters.")


@deadletter.command()
@click.argument("id")
def show(id: str) -> None:
    """Show one dead letter with its payload, as JSON."""
    letters = _letters()
    letter = letters.get(_key(id))
    if letter is None:
        raise _absent(id)
    click.echo(json.dumps(_facts(letter) | {"payload": _payload(letter)}, indent=2))


@deadletter.command()
@click.argument("id", required=False)
@click.option("--all", "everything", is_flag=True, help="Replay every dead letter that can be.")
def replay(id: str | None, everything: bool) -> None:
    """Run a dead letter again, with all its attempts."""
    if (id is None) != everything:
        raise click.UsageError("Say which: an ID, or --all.")
    dead_letters = TransactionDeadLetters(open_ledger())
    if id is not None:
        letter = dead_letters.letters.get(_key(id))
        if letter is None:
            raise _absent(id)
        click.echo(_replay(dead_letters, letter))
        return
    refused = 0
    for letter in _all(dead_letters.letters):
        try:
            click.echo(_replay(dead_letters, letter))
        except _NotReplayable as error:
            click.echo(str(error), err=True)
            refused += 1
    if refused:
        raise CommandFailed(f"{refused} dead letters cannot be replayed; look at them with `show`, then `drop` them.")


@deadletter.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def drop(ids: tuple[str, ...]) -> None:
    """Forget dead letters for good."""
    dead_letters = TransactionDeadLetters(open_ledger())
    for id in ids:
        if not dead_letters.drop(_key(id)):
            raise _absent(id)
        click.echo(f"Dropped {id}.")


class _NotReplayable(CommandFailed):
    """The letter holds nothing that could run."""


def _replay(dead_letters: TransactionDeadLetters, letter: DeadLetter) -> str:
    if letter.kind == TRANSACTION:
        return _replay_transaction(dead_letters, letter)
    if letter.kind not in _tasks():
        raise _NotReplayable(
            f"{_name(letter.id)} is {letter.kind!r}, nothing that could run again; `trunkline deadletter drop` it."
        )
    sent: Callable[[DeadLetter], str] = lambda found: send_again(app, found)  # noqa: E731 - typed for replay
    if not dead_letters.letters.replay(letter.id, sent):
        raise _absent(_name(letter.id))
    return f"Sent {letter.kind} {_name(letter.id)} again."


def _replay_transaction(dead_letters: TransactionDeadLetters, letter: DeadLetter) -> str:
    replayed = dead_letters.replay(letter)
    match replayed.outcome:
        case ReplayOutcome.GONE:
            raise _absent(_name(letter.id))
        case ReplayOutcome.RESOLVED:
            return f"{_name(letter.id)} has its outcome already; the letter is dropped."
        case ReplayOutcome.REPLAYED:
            # From here on the sweeper would bring it as well; one by one, for it may kill its worker again.
            try:
                enqueue(app, [letter.payload], batch_size=1, enqueued_at=replayed.at, isolate=True)
            except OperationalError as error:
                click.echo(f"The broker does not answer ({error}); the sweeper will enqueue it.", err=True)
            return f"{_name(letter.id)} is back in intake."


def _tasks() -> set[str]:
    """Names of our tasks: only those may be sent again."""
    import workers.app as application

    return {name for name in application.app.tasks if not name.startswith("celery.")}


def _letters() -> DeadLetters:
    return TransactionDeadLetters(open_ledger()).letters


def _all(letters: DeadLetters) -> Iterator[DeadLetter]:
    after = b""
    while page := letters.list(after=after, limit=_PAGE):
        yield from page
        after = page[-1].id


def _key(id: str) -> bytes:
    """The letter's id as stored: 64 raw bytes for a transaction's signature, else text."""
    try:
        raw = base58.b58decode(id)
    except ValueError:
        return id.encode()
    return bytes(raw) if len(raw) == _SIGNATURE_BYTES else id.encode()


def _name(id: bytes) -> str:
    if len(id) == _SIGNATURE_BYTES:
        return base58.b58encode(id).decode()
    return id.decode(errors="backslashreplace")


def _absent(id: str) -> CommandFailed:
    return CommandFailed(f"There is no dead letter {id}. `trunkline deadletter list` shows those there are.")


def _facts(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": _name(letter.id),
        "kind": letter.kind,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "first_at": letter.first_at,
        "last_at": letter.last_at,
    }


def _line(letter: DeadLetter) -> str:
    when = datetime.fromtimestamp(letter.last_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{_name(letter.id)}  {letter.kind}  {when}  attempts {letter.attempts}  {letter.reason}"


def _payload(letter: DeadLetter) -> str:
    """Base64 for a transaction, as `submit` reads it; text for all else."""
    import base64

    if letter.kind == TRANSACTION:
        return base64.b64encode(letter.payload).decode()
    return letter.payload.decode(errors="backslashreplace")
