"""How the journal keeps a commit: one stream entry for all outcomes that it brought, `slot-first sequence number`.

    n  how many outcomes
    t  their transactions, each behind its length (2 bytes, big-endian)
    h  their message hashes, 32 bytes each; zeros where no fee was paid, and so the message may come again
    o  what became of each, behind its length (4 bytes): msgpack [result, burned lamports, detail, keys written]

The result lacks the `slot:seq:` that stands before it in a status. `lua/commit.lua` joins `t` and `h`; it puts `o` in
as it got it, and looks into it at the lengths only.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

Outcome = tuple[bytes, int, bytes, bytes]
_decoder = msgspec.msgpack.Decoder(Outcome)
_encoder = msgspec.msgpack.Encoder()
_HASH_BYTES = 32
_NO_HASH = bytes(_HASH_BYTES)


def pack_outcome(result: bytes, burned: int, detail: bytes, written: bytes) -> bytes:
    """One outcome behind its length; `written` are the keys of the accounts it changed, joined."""
    packed = _encoder.encode((result, burned, detail, written))
    return len(packed).to_bytes(4, "big") + packed


def unpack_outcomes(frames: bytes) -> list[Outcome]:
    """Result, burned lamports, detail and written keys of each. Raises msgspec.MsgspecError."""
    return [_decoder.decode(frame) for frame in _frames(frames, 4)]


def unpack_transactions(frames: bytes) -> list[bytes]:
    """The raw transactions."""
    return [bytes(frame) for frame in _frames(frames, 2)]


def paid_hashes(joined: bytes) -> list[bytes]:
    """The message hashes of what paid a fee."""
    hashes = [joined[at : at + _HASH_BYTES] for at in range(0, len(joined), _HASH_BYTES)]
    return [one for one in hashes if one != _NO_HASH]


def _frames(joined: bytes, size: int) -> Iterator[memoryview]:
    view, at = memoryview(joined), 0
    while at < len(joined):
        begin = at + size
        at = begin + int.from_bytes(view[at:begin], "big")
        yield view[begin:at]
