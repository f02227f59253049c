"""Nonce accounts of the System program."""

from __future__ import annotations

from typing import Any

from rpc.encoding.fields import Fields, group, key, read_fields, u64_text
from rpc.encoding.instruction import DataReader, Unparsable

_BYTES = 80
_CURRENT = 1
_FIELDS: Fields = (
    ("authority", key),
    ("blockhash", key),
    ("feeCalculator", group((("lamportsPerSignature", u64_text),))),
)


def parse_nonce(_: bytes, data: bytes) -> dict[str, Any]:
    """Raises Unparsable for what is no nonce account."""
    reader = DataReader(data)
    if len(data) != _BYTES or reader.u32() != _CURRENT:
        raise Unparsable
    if not reader.u32():
        return {"type": "uninitialized"}
    return {"type": "initialized", "info": read_fields(reader, _FIELDS)}
