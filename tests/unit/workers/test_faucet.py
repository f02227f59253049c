"""Making a ledger may be cut off or repeated; the faucet's key is never lost or replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from solders.keypair import Keypair

from banking.errors import LedgerExists, LedgerUnavailable
from banking.keypairs import KeypairError, read_keypair, write_keypair
from banking.ledger.ledger import Ledger
from banking.ledger.records import lamports_of
from config.settings import Profile, Settings
from workers import faucet
from workers.faucet import NoFaucet, faucet_path, initialise, read_faucet

LAMPORTS = 10**12


@pytest.fixture
def settings(tmp_path: Path, any_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Settings:
    class Kept:
        """The test's client, which `with` must not close."""

        def __enter__(self) -> redis.Redis:
            return any_redis

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(faucet, "connect", lambda url, timeout: Kept())
    return Settings.from_variables(data_dir=tmp_path / "data", genesis_lamports=LAMPORTS, redis_url="redis://somewhere")


def test_cut_off_before_the_ledger_is_made_it_goes_on_with_the_same_key(
    settings: Settings, any_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: Any) -> str:
        raise LedgerUnavailable("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(faucet, "create_ledger", cut_off)
        with pytest.raises(LedgerUnavailable):
            initialise(settings, "")
    key = read_keypair(faucet_path(settings))
    made = initialise(settings, "")
    assert made.created
    assert made.faucet == key.pubkey()
    assert lamports_of(Ledger(any_redis, "main").account(bytes(key.pubkey()))) == LAMPORTS
    again = initialise(settings, "")
    assert (again.created, again.faucet, again.ledger_id) == (False, key.pubkey(), made.ledger_id)


def test_a_ledger_that_only_the_archive_has_is_not_made_anew(settings: Settings, any_redis: redis.Redis) -> None:
    initialise(settings, "")
    any_redis.flushall()
    with pytest.raises(LedgerExists, match="restore"):
        initialise(settings, "")
    assert any_redis.keys() == []


def test_nothing_is_given_away_in_production(settings: Settings) -> None:
    initialise(settings, "")
    assert read_faucet(settings).pubkey()
    with pytest.raises(NoFaucet, match="prod"):
        read_faucet(settings.model_copy(update={"profile": Profile.PROD}))


def test_a_keypair_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    path, first = tmp_path / "key.json", Keypair()
    assert write_keypair(path, first)
    assert not write_keypair(path, Keypair())
    assert read_keypair(path) == first
    assert Keypair.from_json(path.read_text()) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_keypair_is_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    secret = list(bytes(Keypair()))
    path.write_text(str([secret[0] ^ 1, *secret[1:]]))
    with pytest.raises(KeypairError) as raised:
        read_keypair(path)
    assert str(secret[5]) + "," not in str(raised.value)
