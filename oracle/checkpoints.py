"""Reading a checkpoint from its bytes, by the written format alone (`docs/archive.md`): where a replay may begin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import zstandard
from solders.pubkey import Pubkey
from solders.signature import Signature

from oracle.errors import BadArchive
from oracle.source import Source

_FIRST_LINE = "trunkline checkpoint 1"
_MOST_CHUNK_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The ledger at the end of `slot`. `blockhashes` maps the slots of recent blocks to their hashes.

    `paid` maps the hashes of messages that were paid for lately to their slots; amounts are lamports.
    """

    slot: int
    block_hash: bytes
    burned: int
    processed: int
    failed: int
    accounts: dict[bytes, bytes]
    blockhashes: dict[int, bytes]
    paid: dict[bytes, int]


def checkpoint_slots(source: Source, trusted_keys: Collection[bytes]) -> dict[int, str]:
    """Slot to id of every checkpoint whose manifest is signed and whole, ascending."""
    found: dict[int, str] = {}
    for name in source.names("checkpoints"):
        if name.endswith("/checkpoint.manifest"):
            checkpoint_id = name.split("/")[-2]
            with suppress(BadArchive):
                found[int(_manifest(source, checkpoint_id, trusted_keys)["facts"]["slot"])] = checkpoint_id
    return dict(sorted(found.items()))


def read_checkpoint(source: Source, checkpoint_id: str, trusted_keys: Collection[bytes]) -> Checkpoint:
    """A checkpoint with all that it builds on, every byte verified. Raises BadArchive."""
    manifest = _manifest(source, checkpoint_id, trusted_keys)
    chain = [manifest]
    while (base := chain[0]["base"]) is not None:
        chain.insert(0, _manifest(source, base["id"], trusted_keys, base["digest"]))
    accounts: dict[bytes, bytes] = {}
    paid: dict[bytes, int] = {}
    blockhashes: dict[int, bytes] = {}
    for layer in chain:
        for row in _rows(source, layer, "ledger/accounts"):
            accounts[row[0]] = row[-1]
        for _, value, message in _rows(source, layer, "ledger/statuses"):
            if message:
                paid[message] = int(value.split(b":", 1)[0])
        # A hash is recent from the slot behind its block on.
        blockhashes.update({int(since) - 1: value for value, since in _rows(source, layer, "ledger/blockhashes")})
    facts = manifest["facts"]
    return Checkpoint(
        slot=int(facts["slot"]),
        block_hash=bytes.fromhex(facts["block_hash"]),
        burned=int(facts["burned"]),
        processed=int(facts["processed"]),
        failed=int(facts["failed"]),
        accounts={key: record for key, record in accounts.items() if record},
        blockhashes=blockhashes,
        paid=paid,
    )


def _manifest(source: Source, checkpoint_id: str, trusted_keys: Collection[bytes], digest: str = "") -> dict[str, Any]:
    data = source.get(f"checkpoints/{checkpoint_id}/checkpoint.manifest")
    where = f"checkpoint {checkpoint_id}"
    try:
        first, content, signature, end, rest = data.decode().split("\n")
        signed = f"{first}\n{content}\n".encode()
        given = bytes.fromhex(signature.removeprefix("signature "))
    except ValueError as error:
        raise BadArchive(f"{where} has no manifest of four lines: {error}") from error
    if first != _FIRST_LINE or rest:
        raise BadArchive(f"{where} begins with {first!r}")
    if end != "end " + hashlib.sha256(signed + signature.encode() + b"\n").hexdigest():
        raise BadArchive(f"{where} has a damaged manifest")
    if not any(Signature.from_bytes(given).verify(Pubkey(key), signed) for key in trusted_keys):
        raise BadArchive(f"{where} is not signed by a trusted key")
    if digest and hashlib.sha256(signed).hexdigest() != digest:
        raise BadArchive(f"{where} is not the one that another builds on")
    manifest: dict[str, Any] = json.loads(content)
    if manifest["id"] != checkpoint_id:
        raise BadArchive(f"{where} says that it is {manifest['id']}")
    return manifest


def _rows(source: Source, manifest: dict[str, Any], part_name: str) -> Iterator[Any]:
    for place, part in enumerate(manifest["parts"]):
        if part["name"] == part_name:
            for number, chunk in enumerate(part["chunks"]):
                yield from _chunk(source, f"checkpoints/{manifest['id']}/part-{place:02d}-{number:06d}.zst", chunk)


def _chunk(source: Source, name: str, entry: dict[str, Any]) -> Iterator[Any]:
    stored = source.get(name)
    if hashlib.sha256(stored).hexdigest() != entry["sha256"]:
        raise BadArchive(f"{name} is not what its manifest says")
    size = min(int(entry["raw_bytes"]), _MOST_CHUNK_BYTES)
    try:
        raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=size)
        at = 0
        while at < len(raw):
            length = int.from_bytes(raw[at : at + 4], "big")
            yield from msgspec.msgpack.decode(raw[at + 8 : at + 8 + length])
            at += 8 + length
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise BadArchive(f"{name} cannot be read: {error}") from error
