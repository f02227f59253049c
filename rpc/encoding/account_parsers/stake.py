"""Stake accounts."""

from __future__ import annotations

from typing import Any

from rpc.encoding.fields import Fields, group, i64, key, read_fields, u64, u64_text
from rpc.encoding.instruction import DataReader, Unparsable

_META: Fields = (
    ("rentExemptReserve", u64_text),
    ("authorized", group((("staker", key), ("withdrawer", key)))),
    ("lockup", group((("unixTimestamp", i64), ("epoch", u64), ("custodian", key)))),
)
_DELEGATION: Fields = (
    ("voter", key),
    ("stake", u64_text),
    ("activationEpoch", u64_text),
    ("deactivationEpoch", u64_text),
)
_WARMUP_BYTES = 8


def parse_stake(_: bytes, data: bytes) -> dict[str, Any]:
    """Raises Unparsable."""
    reader = DataReader(data)
    match reader.u32():
        case 0:
            return {"type": "uninitialized"}
        case 1:
            return {"type": "initialized", "info": {"meta": read_fields(reader, _META), "stake": None}}
        case 2:
            meta, delegation = read_fields(reader, _META), read_fields(reader, _DELEGATION)
            # The rate of warmup is no longer shown.
            reader.take(_WARMUP_BYTES)
            stake = {"delegation": delegation, "creditsObserved": reader.u64()}
            return {"type": "delegated", "info": {"meta": meta, "stake": stake}}
        case 3:
            return {"type": "rewardsPool"}
        case _:
            raise Unparsable
