"""The node's identity: an Ed25519 key in a file, which signs what this node vouches for.

The file has the format of the Solana tools, a JSON array of 64 bytes (seed, then public key), mode 0600.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

import base58
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recovery.archive.errors import ArchiveError, NotFound
from recovery.archive.local import files
from recovery.errors import ConfigurationError

_MAX_FILE_BYTES = 4096


class Identity:
    """An Ed25519 key pair (RFC 8032)."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._seed = seed
        self.public_key: bytes = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Identity:
        """A new random key."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def load_or_create(cls, path: Path) -> Identity:
        """The key in `path`, created there (durably, once) when the file is missing. Raises ConfigurationError."""
        try:
            if not path.exists():
                _create(path, cls.generate())
            return cls.load(path)
        except OSError as error:
            raise ConfigurationError(f"Cannot use the identity key {path}: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: Path) -> Identity:
        """The key in `path`. Raises ConfigurationError when it is missing, not private or not a key."""
        try:
            return cls(parse_key_file(_read_private(path))[:32])
        except NotFound:
            raise ConfigurationError(f"There is no identity key {path}") from None
        except (ValueError, ArchiveError) as error:
            raise ConfigurationError(f"{path} is not a usable identity key: {error}") from error

    @property
    def address(self) -> str:
        """The public key in base58, as the Solana tools print it."""
        return encode_key(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`; start messages with a word that says what they are."""
        return self._key.sign(message)

    def to_json(self) -> str:
        """The file's content. Secret."""
        return json.dumps(list(self._seed + self.public_key), separators=(",", ":"))

    def __repr__(self) -> str:
        return f"Identity({self.address})"


def verify_signature(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """True when the owner of `public_key` signed `message`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def encode_key(public_key: bytes) -> str:
    """Base58 of a public key."""
    return base58.b58encode(public_key).decode("ascii")


def _create(path: Path, identity: Identity) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    temporary = f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.tmp"
    try:
        descriptor = files.write_new(folder, temporary, identity.to_json().encode())
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with suppress(FileExistsError):  # another process made the key first: that one counts
            os.link(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.fsync(folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        os.close(folder)


def _read_private(path: Path) -> bytes:
    with files.reading(str(path)):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            content = files.read_whole(folder, path.name, _MAX_FILE_BYTES)
            mode = os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode
        finally:
            os.close(folder)
    if stat.S_IMODE(mode) & 0o077:
        raise ValueError(f"others can read it; run: chmod 600 {path}")
    return content


def parse_key_file(content: bytes) -> bytes:
    """The 64 bytes (seed, then public key) of a key file's content. Raises ValueError."""
    numbers = json.loads(content)
    if not isinstance(numbers, list) or len(numbers) != 64 or not all(type(number) is int for number in numbers):
        raise ValueError("it must be a JSON array of 64 bytes")
    key = bytes(numbers)
    if Identity(key[:32]).public_key != key[32:]:
        raise ValueError("its two halves do not belong together")
    return key
