"""Keypair files as the Solana tools write them: a JSON array of 64 bytes, secret first."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

from solders.keypair import Keypair

from config.errors import TrunklineError
from recovery.identity import parse_key_file


class KeypairError(TrunklineError):
    """A keypair file is missing, unreadable or holds no keypair."""


def read_keypair(path: Path) -> Keypair:
    """The keypair in `path`. Raises KeypairError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeypairError(
            f"The keypair file {path} cannot be read: {error.strerror}. `trunkline keygen` makes one."
        ) from None
    try:
        return Keypair.from_bytes(parse_key_file(content))
    except ValueError:
        # Never show what was in the file: it may be somebody's secret.
        raise KeypairError(
            f"{path} holds no keypair. Expected a JSON array of 64 numbers, as the Solana tools write it."
        ) from None


def write_keypair(path: Path, keypair: Keypair, *, replace: bool = False) -> bool:
    """Write `keypair` for its owner's eyes only; False, and nothing changed, when `path` exists already.

    With `replace` the new file takes the old one's place in one step. Raises KeypairError when it cannot be written.
    """
    try:
        return _write(path, json.dumps(list(bytes(keypair))), replace)
    except OSError as error:
        raise KeypairError(f"The keypair file {path} cannot be written: {error.strerror}.") from None


def _write(path: Path, text: str, replace: bool) -> bool:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(path)
            return True
        # Unlike a rename, a link never replaces what is there.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
            return True
        return False
    finally:
        temporary.unlink(missing_ok=True)
