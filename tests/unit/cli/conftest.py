"""The command line in this process: fakeredis for Redis, and the banking stage at once instead of a worker later."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
import fakeredis
import pytest
import redis

from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.intake.intake import Intake
from banking.ledger.ledger import Ledger
from banking.transaction import verify
from config.settings import get_settings
from workers.cli.program import main


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


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without an instance; returns its data folder."""
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "data"
    # Set, not only deleted, so that what commands put there is undone.
    monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(folder))
    monkeypatch.setenv("TRUNKLINE_PROFILE", "dev")
    get_settings.cache_clear()
    return folder


@pytest.fixture
def shell(plain: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A ledger made by `trunkline init`; every batch is processed at once."""
    fake: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", "redis://:secret@fake:6379/0")
    get_settings.cache_clear()
    for module in ("banking.ledger.connections", "workers.cli.readiness", "workers.faucet"):
        monkeypatch.setattr(f"{module}.connect", lambda url, timeout=1.0: fake)

    def process(raws: Sequence[bytes]) -> None:
        stage = BankingStage(Ledger(fake, "main"), SvmExecutor())
        stage.process([verify(raw) for raw in raws])

    made = Shell(fake, plain, process)
    for module in ("tasks.submission", "workers.cli.commands.deadletter"):
        monkeypatch.setattr(f"{module}.enqueue", lambda app, raws, **options: made.enqueue(raws))
    result = made("init")
    assert result.exit_code == 0, result.stderr
    return made
