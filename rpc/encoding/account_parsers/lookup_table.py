"""Address lookup tables."""

from __future__ import annotations

from typing import Any

from rpc.encoding.fields import Fields, option, read_fields, u8, u64_text
from rpc.encoding.instruction import DataReader, Unparsable

_METADATA_BYTES = 56
_UNINITIALIZED, _TABLE = 0, 1
_FIELDS: Fields = (
    ("deactivationSlot", u64_text),
    ("lastExtendedSlot", u64_text),
    ("lastExtendedSlotStartIndex", u8),
    ("authority", option(DataReader.key)),
)


def parse_lookup_table(_: bytes, data: bytes) -> dict[str, Any]:
    """Raises Unparsable."""
    reader = DataReader(data)
    kind = reader.u32()
    if kind == _UNINITIALIZED:
        return {"type": "uninitialized"}
    if kind != _TABLE or len(data) < _METADATA_BYTES:
        raise Unparsable
    info = read_fields(reader, _FIELDS)
    if info["authority"] is None:
        del info["authority"]
    listed = DataReader(data, _METADATA_BYTES)
    info["addresses"] = [listed.key() for _ in range((len(data) - _METADATA_BYTES) // 32)]
    return {"type": "lookupTable", "info": info}
