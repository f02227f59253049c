"""Reading one block from its bytes, by the written format alone (`docs/archive.md`, "Blocks").

    magic (8) | header length (4 bytes, big-endian) | header | signer (32) | signature (64) | body | SHA-256 (32)

The body is msgpack in a zstd frame. "TLBLOCK1": [[seq, transaction, status, burned, detail, [[key, record], ...]]].
"TLBLOCK2": [entries, images], where an entry has its keys joined in place of the pairs, and images are [[key, record],
...] of every account as it was at the end of the slot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import zstandard
from solders.pubkey import Pubkey
from solders.signature import Signature

from oracle.errors import BadArchive

_MAGIC_1, _MAGIC_2 = b"TLBLOCK1", b"TLBLOCK2"
_SIGNED = b"trunkline block"
_MOST_BODY_BYTES = 1 << 30


class BadBlock(BadArchive):
    """A block's bytes are not what was signed, or not in the format."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a block says of itself, and `hash`, its SHA-256. Sequence numbers are of its entries; totals are lamports.

    `processed`, `failed` and `burned` count everything up to and with this block; `time_ms` is when its slot was
    closed.
    """

    ledger_id: str
    supply: int
    epoch: int
    slot: int
    parent: bytes
    first_seq: int
    last_seq: int
    time_ms: int
    processed: int
    failed: int
    burned: int
    body_bytes: int
    body_sha256: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Recorded:
    """One entry of a block, as it stands there. `raw` is b"" in a genesis; `burned` is in lamports.

    `wrote` names the accounts that it changed; `images` holds their records (b"" = gone) as far as the block keeps
    them: an account that was changed again within the slot may have its last image only.
    """

    seq: int
    slot: int
    raw: bytes
    err: str | None
    fee: int
    units: int
    logs: list[str]
    burned: int
    detail: tuple[Any, ...] | None
    wrote: tuple[bytes, ...]
    images: dict[bytes, bytes]

    @property
    def signature(self) -> str:
        """Base58 of the first signature; "" in a genesis."""
        return str(Signature.from_bytes(self.raw[1:65])) if self.raw else ""


@dataclass(frozen=True, slots=True)
class Block:
    """A block whose bytes were all verified."""

    header: Header
    entries: list[Recorded]


_HeaderRow = tuple[str, int, int, int, bytes, int, int, int, int, int, int, int, bytes]
_Pairs = list[tuple[bytes, bytes]]
_Row1 = tuple[int, bytes, bytes, int, bytes, _Pairs]
_Row2 = tuple[int, bytes, bytes, int, bytes, bytes]
_header_decoder = msgspec.msgpack.Decoder(_HeaderRow)
_body_decoder_1 = msgspec.msgpack.Decoder(list[_Row1])
_body_decoder_2 = msgspec.msgpack.Decoder(tuple[list[_Row2], _Pairs])
_result_decoder = msgspec.msgpack.Decoder(tuple[str | None, int, int, list[str]])
_detail_decoder = msgspec.msgpack.Decoder(tuple[Any, ...])


def read_header(data: bytes, trusted_keys: Collection[bytes]) -> tuple[Header, bytes]:
    """The header of a block and its compressed body, hash and signature verified. Raises BadBlock."""
    if data[:8] not in (_MAGIC_1, _MAGIC_2):
        raise BadBlock(f"it begins with {data[:8]!r}, which is no block that this version can read")
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise BadBlock("its closing SHA-256 is wrong: it is damaged or cut off")
    length = int.from_bytes(data[8:12], "big")
    packed, rest = data[12 : 12 + length], data[12 + length : -32]
    signer, signature, body = rest[:32], rest[32:96], rest[96:]
    digest = hashlib.sha256(packed).digest()
    if signer not in trusted_keys:
        raise BadBlock("it is not signed by a trusted key")
    if not Signature.from_bytes(signature).verify(Pubkey.from_bytes(signer), _SIGNED + digest):
        raise BadBlock("its signature is wrong")
    try:
        return Header(*(*_header_decoder.decode(packed), digest)), body
    except msgspec.MsgspecError as error:
        raise BadBlock(f"its header cannot be read: {error}") from error


def read_block(data: bytes, trusted_keys: Collection[bytes]) -> Block:
    """A whole block, every byte of it verified. Raises BadBlock."""
    header, stored = read_header(data, trusted_keys)
    body = _unpack(stored, header)
    try:
        entries = (_entries_1 if data[:8] == _MAGIC_1 else _entries_2)(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadBlock(f"its body cannot be read: {error}") from error
    return Block(header, entries)


def _unpack(stored: bytes, header: Header) -> bytes:
    if header.body_bytes > _MOST_BODY_BYTES:
        raise BadBlock(f"its body would have {header.body_bytes} bytes")
    try:
        body = zstandard.ZstdDecompressor().decompress(stored, max_output_size=header.body_bytes)
    except zstandard.ZstdError as error:
        raise BadBlock(f"its body does not decompress: {error}") from error
    if len(body) != header.body_bytes or hashlib.sha256(body).digest() != header.body_sha256:
        raise BadBlock("its body is not the one that its header names")
    return body


def _entries_1(body: bytes) -> list[Recorded]:
    rows = _body_decoder_1.decode(body)
    return [_entry(row[:5], [key for key, _ in row[5]], dict(row[5])) for row in rows]


def _entries_2(body: bytes) -> list[Recorded]:
    rows, pairs = _body_decoder_2.decode(body)
    images = dict(pairs)
    wrote = [[row[5][at : at + 32] for at in range(0, len(row[5]), 32)] for row in rows]
    if list(images) != sorted({key for keys in wrote for key in keys}) or len(images) != len(pairs):
        raise ValueError("its images are not those of the accounts that its entries wrote")
    entries = []
    for row, keys in zip(reversed(rows), reversed(wrote), strict=True):
        # The image belongs to the last who wrote the account.
        entries.append(_entry(row[:5], keys, {key: images.pop(key) for key in keys if key in images}))
    return entries[::-1]


def _entry(row: tuple[int, bytes, bytes, int, bytes], wrote: Sequence[bytes], images: dict[bytes, bytes]) -> Recorded:
    seq, raw, value, burned, detail = row
    slot, status_seq, result = value.split(b":", 2)
    if int(status_seq) != seq:
        raise ValueError(f"entry {seq} says that it is entry {int(status_seq)}")
    err, fee, units, logs = _result_decoder.decode(result)
    return Recorded(
        seq=seq,
        slot=int(slot),
        raw=raw,
        err=err,
        fee=fee,
        units=units,
        logs=logs,
        burned=burned,
        detail=_detail_decoder.decode(detail) if detail else None,
        wrote=tuple(wrote),
        images=images,
    )
