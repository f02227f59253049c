"""The command line in this process: fakeredis for Redis, and the banking stage at once instead of a worker later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fakeredis
import pytest
import redis

from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.ledger.ledger import Ledger
from banking.transaction import verify
from config.settings import get_settings
from tests.support.cli.shell import Shell


@pytest.fixture
def shell(plain: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A ledger made by `trunkline init`; every batch is processed at once."""
    fake: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", "redis://:secret@fake:6379/0")
    get_settings.cache_clear()
    for module in (
        "banking.ledger.connections",
        "workers.cli.readiness",
        "workers.faucet",
        "workers.cli.ledger_creation",
        "workers.overview.gathering",
    ):
        monkeypatch.setattr(f"{module}.connect", lambda url, timeout=1.0: fake)
    # The modes, which `status` and `submit` ask.
    monkeypatch.setattr("recovery.degradation.manager.connect", lambda url, timeout=1.0: fake)
    monkeypatch.setattr("recovery.degradation.store.fail_fast", lambda client, timeout: client)

    def process(raws: Sequence[bytes]) -> None:
        stage = BankingStage(Ledger(fake, "main"), SvmExecutor())
        stage.process([verify(raw) for raw in raws])

    made = Shell(fake, plain, process)
    for module in ("tasks.submission", "workers.overview.replaying"):
        monkeypatch.setattr(f"{module}.enqueue", lambda app, raws, **options: made.enqueue(raws))

    def enqueue_batches(app: object, batches: Sequence[tuple[bytes, int]], **options: object) -> None:
        stage = BankingStage(Ledger(fake, "main"), SvmExecutor())
        opened = [stage.open_batch(batch) for batch, _ in batches]
        made.enqueue([one.raw for batch in opened if batch is not None for one in batch.transactions])

    monkeypatch.setattr("tasks.submission.enqueue_batches", enqueue_batches)
    result = made("init")
    assert result.exit_code == 0, result.stderr
    return made
