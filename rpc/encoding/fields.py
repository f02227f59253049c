"""Layouts as tables: names of fields, and how each is read and shown."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

from rpc.encoding.instruction import DataReader

Read = Callable[[DataReader], Any]
Fields = Sequence[tuple[str, Read]]


def read_fields(reader: DataReader, fields: Fields) -> dict[str, Any]:
    """The values of `fields`, which stand one behind the other. Raises Unparsable at the end of the data."""
    return {name: read(reader) for name, read in fields}


def u8(reader: DataReader) -> int:
    return reader.u8()


def u16(reader: DataReader) -> int:
    return int.from_bytes(reader.take(2), "little")


def i16(reader: DataReader) -> int:
    return int.from_bytes(reader.take(2), "little", signed=True)


def u32(reader: DataReader) -> int:
    return reader.u32()


def u64(reader: DataReader) -> int:
    return reader.u64()


def i64(reader: DataReader) -> int:
    return int.from_bytes(reader.take(8), "little", signed=True)


def u64_text(reader: DataReader) -> str:
    return str(reader.u64())


def u128_text(reader: DataReader) -> str:
    return str(int.from_bytes(reader.take(16), "little"))


def f64(reader: DataReader) -> float:
    value: float = struct.unpack("<d", reader.take(8))[0]
    return value


def f64_text(reader: DataReader) -> str:
    """As Rust prints it: no exponent, and no fraction where there is none."""
    value = f64(reader)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    return f"{int(value)}" if value == int(value) else _plain(value)


def _plain(value: float) -> str:
    text = repr(value)
    if "e" not in text:
        return text
    mantissa, _, exponent = text.partition("e")
    digits = len(mantissa.partition(".")[2]) - int(exponent)
    return f"{value:.{max(digits, 1)}f}"


def flag(reader: DataReader) -> bool:
    return bool(reader.u8())


def key(reader: DataReader) -> str:
    return reader.key()


def key_or_none(reader: DataReader) -> str | None:
    """A key, of which zeros stand for none."""
    found = reader.take(32)
    return None if found == bytes(32) else DataReader(found).key()


def option(read: Read) -> Read:
    """A value behind a byte that tells whether it is there."""
    return lambda reader: read(reader) if reader.u8() else None


def encoded(size: int) -> Read:
    """Bytes in base64, as encrypted values are shown."""
    return lambda reader: base64.b64encode(reader.take(size)).decode()


def short_text(reader: DataReader) -> str:
    """A string behind its length as u32."""
    return reader.take(reader.u32()).decode("utf-8", "replace")


def group(fields: Fields) -> Read:
    """An object of its own."""
    return lambda reader: read_fields(reader, fields)


def listed(read: Read, count: Read = u64) -> Read:
    """A list behind its length."""
    return lambda reader: [read(reader) for _ in range(count(reader))]
