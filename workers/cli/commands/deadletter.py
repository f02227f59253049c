"""`deadletter`: what was given up, and another chance for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from banking.intake.dead_letters import TRANSACTION, TransactionDeadLetters
from recovery.dead_letters import DeadLetter, DeadLetters
from workers.cli.connection import open_ledger
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline
from workers.overview.replaying import NoSuchLetter, NotReplayable, letter_key, letter_name, replay_letter

_PAGE = 500


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
    letter = letters.get(letter_key(id))
    if letter is None:
        raise NoSuchLetter(id)
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
        letter = dead_letters.letters.get(letter_key(id))
        if letter is None:
            raise NoSuchLetter(id)
        click.echo(_replay(dead_letters, letter))
        return
    refused = 0
    for letter in _all(dead_letters.letters):
        try:
            click.echo(_replay(dead_letters, letter))
        except NotReplayable as error:
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
        if not dead_letters.drop(letter_key(id)):
            raise NoSuchLetter(id)
        click.echo(f"Dropped {id}.")


def _replay(dead_letters: TransactionDeadLetters, letter: DeadLetter) -> str:
    # Importing registers our tasks.
    import workers.app as application

    return replay_letter(dead_letters, letter, application.app.tasks, lambda told: click.echo(told, err=True))


def _letters() -> DeadLetters:
    return TransactionDeadLetters(open_ledger()).letters


def _all(letters: DeadLetters) -> Iterator[DeadLetter]:
    after = b""
    while page := letters.list(after=after, limit=_PAGE):
        yield from page
        after = page[-1].id


def _facts(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter_name(letter.id),
        "kind": letter.kind,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "first_at": letter.first_at,
        "last_at": letter.last_at,
    }


def _line(letter: DeadLetter) -> str:
    when = datetime.fromtimestamp(letter.last_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{letter_name(letter.id)}  {letter.kind}  {when}  attempts {letter.attempts}  {letter.reason}"


def _payload(letter: DeadLetter) -> str:
    """Base64 for a transaction, as `submit` reads it; text for all else."""
    import base64

    if letter.kind == TRANSACTION:
        return base64.b64encode(letter.payload).decode()
    return letter.payload.decode(errors="backslashreplace")
