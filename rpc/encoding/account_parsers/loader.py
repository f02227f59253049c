"""Accounts of the upgradeable loader: buffers, programs and their code."""

from __future__ import annotations

import base64
from typing import Any

from rpc.encoding.fields import option
from rpc.encoding.instruction import DataReader, Unparsable

#: Where the code begins; a buffer without an authority has none of its bytes.
_BUFFER_CODE, _BARE_BUFFER_CODE, _PROGRAM_CODE, _BARE_PROGRAM_CODE = 37, 5, 45, 13

_authority = option(DataReader.key)


def parse_loader(_: bytes, data: bytes) -> dict[str, Any]:
    """Raises Unparsable."""
    reader = DataReader(data)
    match reader.u32():
        case 0:
            return {"type": "uninitialized"}
        case 1:
            authority = _authority(reader)
            code = _code(data, _BARE_BUFFER_CODE if authority is None else _BUFFER_CODE)
            return {"type": "buffer", "info": {"authority": authority, "data": code}}
        case 2:
            return {"type": "program", "info": {"programData": reader.key()}}
        case 3:
            slot, authority = reader.u64(), _authority(reader)
            code = _code(data, _BARE_PROGRAM_CODE if authority is None else _PROGRAM_CODE)
            return {"type": "programData", "info": {"slot": slot, "authority": authority, "data": code}}
        case _:
            raise Unparsable


def _code(data: bytes, at: int) -> list[str]:
    return [base64.b64encode(data[at:]).decode(), "base64"]
