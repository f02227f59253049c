"""The command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
import redis

from banking.intake.intake import Intake
from banking.ledger.ledger import Ledger
from workers.cli.program import main


def run(*args: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, list(args))


@dataclass
class Shell:
    """Runs commands. `enqueue` is what a published batch does; replace it to play a worker that is away."""

    client: redis.Redis
    folder: Path
    enqueue: Callable[[Sequence[bytes]], None]

    def __call__(self, *args: str, stdin: str | bytes | None = None) -> click.testing.Result:
        result = click.testing.CliRunner().invoke(main, list(args), input=stdin, catch_exceptions=False)
        assert "Traceback" not in result.stderr
        return result

    def json(self, *args: str) -> Any:
        result = self(*args, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.client, "main")

    @property
    def intake(self) -> Intake:
        return Intake(self.ledger)
