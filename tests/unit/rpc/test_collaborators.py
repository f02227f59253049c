"""An RPC server that the world reaches needs no key that signs blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from banking.from_settings import open_blocks
from config.errors import ConfigurationError
from config.settings import Settings
from rpc.collaborators import default_collaborators


def _settings(folder: Path, **values: object) -> Settings:
    return Settings.from_variables(
        redis_url="redis://127.0.0.1:1/0",
        data_dir=folder / "data",
        archive_url=(folder / "archive").as_uri(),
        **values,
    )


def test_trusted_keys_are_enough_and_no_key_is_made(tmp_path: Path) -> None:
    signer = open_blocks(_settings(tmp_path, identity=tmp_path / "signer.json")).identity.address
    made = default_collaborators(_settings(tmp_path, trusted_keys=signer))
    assert made.blocks is not None
    assert made.identity is None
    assert not (tmp_path / "data").exists()


def test_with_the_key_it_is_the_node(tmp_path: Path) -> None:
    settings = _settings(tmp_path, identity=tmp_path / "signer.json")
    signer = open_blocks(settings).identity.address
    made = default_collaborators(settings)
    assert str(made.identity and made.identity.pubkey()) == signer


def test_without_either_it_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a folder that cannot be written")
    with pytest.raises(ConfigurationError, match="TRUNKLINE_TRUSTED_KEYS"):
        default_collaborators(_settings(tmp_path))
