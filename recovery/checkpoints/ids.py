"""Checkpoint ids and the names of their objects. Names come from ids and numbers, never from a file's content."""

from __future__ import annotations

import re
import secrets

from recovery.checkpoints.errors import CheckpointError, UnknownCheckpoint

MAX_SEQUENCE = 10**12 - 1
_ID = re.compile(r"([0-9]{12})-([0-9a-f]{8})-[0-9a-f]{8}")
_MANIFEST = "checkpoint.manifest"


def new_id(sequence: int, unix_seconds: float, base: str | None = None) -> str:
    """`SEQUENCE-TIME-RANDOM`: sorts by sequence number, then time, and after its base. Raises CheckpointError."""
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise CheckpointError(f"the sequence number {sequence} is outside 0 to {MAX_SEQUENCE}")
    started = int(unix_seconds)
    if base is not None and int(base.split("-")[0]) == sequence:
        started = max(started, started_at(base) + 1)
    return f"{sequence:012d}-{started & 0xFFFFFFFF:08x}-{secrets.token_hex(4)}"


def check_id(checkpoint_id: str) -> str:
    """`checkpoint_id` when it has the form of one. Raises UnknownCheckpoint."""
    if not _ID.fullmatch(checkpoint_id):
        raise UnknownCheckpoint(f"{checkpoint_id[:100]!r} is not a checkpoint id")
    return checkpoint_id


def is_id(text: str) -> bool:
    """True for a well-formed id."""
    return bool(_ID.fullmatch(text))


def started_at(checkpoint_id: str) -> int:
    """When its writing began, in seconds since the Unix epoch."""
    return int(check_id(checkpoint_id).split("-")[1], 16)


def manifest_name(folder: str, checkpoint_id: str) -> str:
    """Object name of the manifest."""
    return f"{folder}/{check_id(checkpoint_id)}/{_MANIFEST}"


def chunk_name(folder: str, checkpoint_id: str, part: int, chunk: int) -> str:
    """Object name of a chunk, by the numbers of its part and of itself."""
    return f"{folder}/{check_id(checkpoint_id)}/part-{part:02d}-{chunk:06d}.zst"
