from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from solders.keypair import Keypair

from recovery.errors import ConfigurationError
from recovery.identity import Identity, verify_signature


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "identity.json"


def test_a_missing_key_is_created_once_and_kept_private(path: Path) -> None:
    first = Identity.load_or_create(path)
    assert Identity.load_or_create(path).public_key == first.public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["identity.json"]


def test_the_solana_tools_read_the_same_key(path: Path) -> None:
    identity = Identity.load_or_create(path)
    keypair = Keypair.from_json(path.read_text())
    assert str(keypair.pubkey()) == identity.address
    assert bytes(keypair.sign_message(b"hello")) == identity.sign(b"hello")


def test_all_processes_that_race_to_create_it_get_one_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: Identity.load_or_create(path).public_key, range(16)))
    assert len(keys) == 1


def test_a_signature_is_good_for_its_message_and_key_only() -> None:
    identity, other = Identity.generate(), Identity.generate()
    signature = identity.sign(b"message")
    assert verify_signature(identity.public_key, signature, b"message")
    assert not verify_signature(identity.public_key, signature, b"massage")
    assert not verify_signature(other.public_key, signature, b"message")
    assert not verify_signature(identity.public_key, signature[:-1], b"message")
    assert not verify_signature(b"short", signature, b"message")


@pytest.mark.parametrize("content", ["", "{}", "[1,2]", json.dumps([0] * 64), json.dumps([300] * 64), "[true]" * 64])
def test_files_that_hold_no_key_are_refused(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"identity\.json"):
        Identity.load_or_create(path)


def test_a_key_that_others_can_read_or_that_is_a_link_is_refused(path: Path) -> None:
    Identity.load_or_create(path)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Identity.load_or_create(path)
    path.chmod(0o600)
    link = path.with_name("link.json")
    link.symlink_to(path)
    with pytest.raises(ConfigurationError):
        Identity.load_or_create(link)


def test_the_secret_is_not_shown(path: Path) -> None:
    identity = Identity.load_or_create(path)
    assert identity.address in repr(identity)
    assert str(json.loads(path.read_text())[:4])[1:-1] not in repr(identity)
