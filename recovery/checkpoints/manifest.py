"""The manifest: what a checkpoint consists of, signed. Written last, it is what makes a checkpoint exist.

Four lines of text:

    trunkline checkpoint 1
    {canonical JSON: keys sorted, no spaces}
    signature HEX            Ed25519 over the two lines above, by the key named in the JSON
    end HEX                  SHA-256 of the three lines above
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import msgspec

from recovery.checkpoints.chunks import MAX_CHUNK_BYTES, ChunkEntry
from recovery.checkpoints.errors import BadCheckpoint, CheckpointError
from recovery.identity import Identity, encode_key, verify_signature

FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 2
MAX_PARTS = 64
_MAGIC = b"trunkline checkpoint "
_TAIL_BYTES = len("signature \nend \n") + 128 + 64
_PART_NAME = re.compile(r"[a-z0-9-]{1,32}(?:/[a-z0-9-]{1,32}){0,2}")
_FACT_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_MAX_FACT_TEXT = 1024

Count = Annotated[int, msgspec.Meta(ge=0)]
Facts = Mapping[str, int | str]


class PartEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part: totals of its chunks, and the SHA-256 (hex) of all its raw bytes."""

    name: str
    records: Count
    raw_bytes: Count
    stored_bytes: Count
    sha256: str
    chunks: tuple[ChunkEntry, ...]


class BaseLink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The checkpoint an incremental one builds on, and the digest of that one's manifest."""

    id: str
    digest: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All about one checkpoint. `created` is in seconds since the Unix epoch, `signer` a base58 public key."""

    id: str
    kind: Literal["full", "incremental"]
    sequence: Count
    created: Count
    depth: Annotated[int, msgspec.Meta(ge=0, le=MAX_DEPTH)]
    base: BaseLink | None
    signer: str
    facts: dict[str, int | str]
    parts: tuple[PartEntry, ...]

    @property
    def records(self) -> int:
        """Records in all parts, without those of the base."""
        return sum(part.records for part in self.parts)

    @property
    def raw_bytes(self) -> int:
        """Bytes before compression."""
        return sum(part.raw_bytes for part in self.parts)

    @property
    def stored_bytes(self) -> int:
        """Bytes in the archive, without the manifest."""
        return sum(part.stored_bytes for part in self.parts)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the signed lines."""
        return hashlib.sha256(_signed_lines(self)).hexdigest()


def check_facts(facts: Facts) -> dict[str, int | str]:
    """A copy of `facts`. Raises CheckpointError unless they map short names to 64-bit integers or short texts."""
    for name, value in facts.items():
        if not _FACT_NAME.fullmatch(name):
            raise CheckpointError(f"not a name for a fact: {name!r}")
        is_number = type(value) is int and -(2**63) <= value < 2**64
        if not is_number and not (isinstance(value, str) and len(value) <= _MAX_FACT_TEXT):
            raise CheckpointError(f"the fact {name} must be a 64-bit integer or a text, not {value!r}")
    return dict(facts)


def check_part_name(name: str) -> str:
    """`name` when it is valid. Raises CheckpointError."""
    if not _PART_NAME.fullmatch(name):
        raise CheckpointError(f"not a name for a part: {name!r}")
    return name


def encode(manifest: Manifest, identity: Identity) -> bytes:
    """The manifest's file, signed by `identity`, which must be its signer."""
    signed = _signed_lines(manifest)
    unsealed = signed + b"signature " + identity.sign(signed).hex().encode() + b"\n"
    return unsealed + b"end " + hashlib.sha256(unsealed).hexdigest().encode() + b"\n"


def decode(data: bytes, checkpoint_id: str, trusted_keys: Collection[bytes]) -> Manifest:
    """The manifest of `checkpoint_id`, signed by one of `trusted_keys`. Raises BadCheckpoint.

    Nothing of the content is looked at before its signature has been verified.
    """
    signed, signature = _split(data)
    signer = next((key for key in trusted_keys if verify_signature(key, signature, signed)), None)
    if signer is None:
        raise BadCheckpoint("it is not signed by a trusted key")
    try:
        manifest = msgspec.json.decode(signed.split(b"\n", 1)[1], type=Manifest)
    except msgspec.MsgspecError as error:
        raise BadCheckpoint(f"its manifest cannot be read: {error}") from error
    if _signed_lines(manifest) != signed:
        raise BadCheckpoint("its manifest is not in canonical form")
    if manifest.id != checkpoint_id or manifest.signer != encode_key(signer):
        raise BadCheckpoint("its manifest belongs to another checkpoint or signer")
    _check_consistency(manifest)
    return manifest


def _signed_lines(manifest: Manifest) -> bytes:
    return b"%s%d\n%s\n" % (_MAGIC, FORMAT_VERSION, msgspec.json.encode(manifest, order="sorted"))


def _split(data: bytes) -> tuple[bytes, bytes]:
    magic, _, _ = data.partition(b"\n")
    if not magic.startswith(_MAGIC):
        raise BadCheckpoint("its manifest does not start as one")
    if magic != b"%s%d" % (_MAGIC, FORMAT_VERSION):
        version = magic[len(_MAGIC) :][:20].decode("ascii", "replace")
        raise BadCheckpoint(f"its format version is {version!r}; this program knows {FORMAT_VERSION}")
    signed, tail = data[:-_TAIL_BYTES], data[-_TAIL_BYTES:]
    unsealed = data[: -len("end \n") - 64]
    if data != unsealed + b"end " + hashlib.sha256(unsealed).hexdigest().encode() + b"\n":
        raise BadCheckpoint("its manifest is truncated or damaged")
    try:
        signature = bytes.fromhex(tail[len("signature ") :][:128].decode("ascii"))
    except ValueError:
        raise BadCheckpoint("its signature cannot be read") from None
    if not tail.startswith(b"signature " + signature.hex().encode() + b"\nend "):
        raise BadCheckpoint("its signature line is malformed")
    return signed, signature


def _check_consistency(manifest: Manifest) -> None:
    is_full = manifest.kind == "full"
    if is_full != (manifest.base is None) or is_full != (manifest.depth == 0):
        raise BadCheckpoint("its kind, base and depth contradict each other")
    if manifest.base is not None and manifest.base.id >= manifest.id:
        raise BadCheckpoint("its base is not older than itself")
    part_names = [part.name for part in manifest.parts]
    if len(set(part_names)) != len(part_names) or len(part_names) > MAX_PARTS:
        raise BadCheckpoint("it has too many parts, or two of one name")
    for part in manifest.parts:
        sums = tuple(
            sum(getattr(chunk, field) for chunk in part.chunks) for field in ("records", "raw_bytes", "stored_bytes")
        )
        if sums != (part.records, part.raw_bytes, part.stored_bytes):
            raise BadCheckpoint(f"the totals of its part {part.name} are not the sums of its chunks")
        if any(min(chunk.raw_bytes, chunk.stored_bytes, chunk.records) < 0 for chunk in part.chunks):
            raise BadCheckpoint(f"a chunk of its part {part.name} has a negative size")
        if any(max(chunk.raw_bytes, chunk.stored_bytes) > 2 * MAX_CHUNK_BYTES for chunk in part.chunks):
            raise BadCheckpoint(f"a chunk of its part {part.name} is larger than any chunk may be")
