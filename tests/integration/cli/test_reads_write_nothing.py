"""Commands that only look: they make no file, and a Redis that refuses every write answers them all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest
import redis
from solders.keypair import Keypair

from banking.admin.genesis import create_ledger, genesis_accounts
from banking.blocks.sealer import Sealer
from banking.from_settings import open_blocks, open_ledger, open_recovery
from config.settings import Settings, get_settings
from recovery.breaker import CircuitBreaker, Override
from recovery.connections import connect
from recovery.dead_letters import DeadLetter, DeadLetters
from tasks.modes import open_modes
from tests.support.waiting import wait_until
from workers.cli.program import main
from workers.supervisor.embedded_redis import EmbeddedRedis

#: Every command that only looks, with its arguments; CHECKPOINT and LETTER stand for ones that exist.
LOOKS = [
    "status",
    "status --json",
    "status --watch --for 0.3s",
    "mode list",
    "mode list --json",
    "mode history",
    "mode explain transactions WRITE",
    "mode set transactions OFFLINE --dry-run",
    "breaker list",
    "breaker show transaction",
    "breaker watch --for 0.3s",
    "deadletter list",
    "deadletter show LETTER",
    "checkpoint list",
    "checkpoint show CHECKPOINT",
    "checkpoint verify CHECKPOINT",
    "checkpoint verify --all",
    "archive verify",
    "archive replay",
    "block show 1",
    "ledger list",
    "audit",
]
#: Those that say something without an archive on this machine.
WITHOUT_ARCHIVE = ("status", "mode", "breaker", "deadletter", "ledger list")


class Prepared:
    """A small ledger with one of everything, on a server of its own."""

    def __init__(self, folder: Path, server: EmbeddedRedis) -> None:
        self.folder = folder / "data"
        self.server = server
        settings = Settings.from_variables(data_dir=self.folder, redis_url=server.url)
        ledger, blocks = open_ledger(settings), open_blocks(settings)
        create_ledger(ledger, blocks, genesis_accounts(Keypair().pubkey(), 10**12))
        for _ in range(2):
            assert Sealer(ledger, blocks).seal() is not None
        self.checkpoint = open_recovery(settings).create_checkpoint().id
        open_modes(settings).set_component_mode("rpc", "READ_ONLY", reason="drill")
        # It has expired when it is looked at, and whoever may write would remove it.
        open_modes(settings).set_component_mode("intake", "READ_ONLY", reason="drill", duration=0.01)
        prefix = ledger.keys.prefix
        CircuitBreaker("transaction", redis=server.url, namespace=prefix).override(Override.OPEN, "drill")
        with connect(server.url) as client:
            # In the index only: its state has run out.
            client.sadd(f"{prefix}:breakers", "forgotten")
            letter = DeadLetter(
                id=b"odd", kind="task", payload=b"{}", reason="broken", attempts=1, first_at=1.0, last_at=1.0
            )
            assert DeadLetters(client, prefix).add(letter)

    def words(self, look: str) -> list[str]:
        return look.replace("CHECKPOINT", self.checkpoint).replace("LETTER", "odd").split()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    folder = tmp_path_factory.mktemp("reads")
    server = EmbeddedRedis(folder / "redis")
    server.start()
    yield Prepared(folder, server)
    server.stop()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, prepared: Prepared) -> Iterator[pytest.MonkeyPatch]:
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", prepared.server.url)
    monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(prepared.folder))
    _forget()
    yield monkeypatch
    _forget()


def _forget() -> None:
    import tasks.runtime

    get_settings.cache_clear()
    tasks.runtime._runtime = None


@pytest.fixture(scope="module")
def refusing(prepared: Prepared) -> Iterator[redis.Redis]:
    """The server as it is on a full disk: its last snapshot failed, so it refuses writes (MISCONF)."""
    with connect(prepared.server.url) as client:
        folder = client.config_get("dir")["dir"]
        client.config_set("dir", "/proc/self")
        client.config_set("save", "3600 1")
        client.config_set("stop-writes-on-bgsave-error", "yes")
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the snapshot has failed")
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            client.set("probe", "")
        yield client
        client.config_set("save", "")
        client.config_set("dir", folder)


def run(words: list[str]) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, words, catch_exceptions=False)


@pytest.mark.parametrize("look", LOOKS)
def test_an_empty_folder_stays_empty(
    environment: pytest.MonkeyPatch, prepared: Prepared, tmp_path: Path, look: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    environment.chdir(empty)
    environment.setenv("TRUNKLINE_DATA_DIR", str(empty / ".trunkline"))
    _forget()
    result = run(prepared.words(look))
    assert list(empty.iterdir()) == []
    if look.startswith(WITHOUT_ARCHIVE):
        assert result.exit_code == 0, result.stderr
    else:
        assert result.exit_code == 1
        assert "There is no archive in" in result.stderr


@pytest.mark.parametrize("look", LOOKS)
def test_a_redis_that_refuses_writes_answers(
    environment: pytest.MonkeyPatch, prepared: Prepared, refusing: redis.Redis, look: str
) -> None:
    before = sorted(prepared.folder.rglob("*"))
    result = run(prepared.words(look))
    assert result.exit_code == 0, result.stdout + result.stderr
    assert "MISCONF" not in result.stdout + result.stderr
    assert sorted(prepared.folder.rglob("*")) == before


@pytest.mark.usefixtures("environment", "refusing")
def test_that_redis_refuses_writes_is_the_first_thing_said(prepared: Prepared) -> None:
    first, fix = run(prepared.words("status")).stdout.splitlines()[:2]
    assert "Work has stopped: Redis takes no writes: its last snapshot failed" in first
    assert "free its disk" in fix
