"""Vote accounts, of all versions shown as the newest one (SIMD-0185)."""

from __future__ import annotations

from typing import Any

import base58
from solders.pubkey import Pubkey

from rpc.encoding.fields import Fields, Read, group, i64, key, listed, option, read_fields, u8, u16, u32, u64, u64_text
from rpc.encoding.instruction import DataReader, Unparsable

_WITHOUT_LATENCY, _WITH_LATENCY, _NEWEST = 1, 2, 3
_HUNDRED_PERCENT = 10_000
#: The voters before: 32 of them with two epochs each, then a place and a flag.
_PRIOR_VOTERS_BYTES = 32 * 48 + 9
_BLS_KEY_BYTES = 48

_lockout: Fields = (("slot", u64), ("confirmationCount", u32))
_votes = listed(group((("latency", u8), *_lockout)))
_old_votes = listed(group(_lockout))
_HEAD: Fields = (("nodePubkey", key), ("authorizedWithdrawer", key))
_COLLECTORS: Fields = (
    ("inflationRewardsCollector", key),
    ("blockRevenueCollector", key),
    ("inflationRewardsCommissionBps", u16),
    ("blockRevenueCommissionBps", u16),
    ("pendingDelegatorRewards", u64_text),
    ("blsPubkeyCompressed", option(lambda reader: base58.b58encode(reader.take(_BLS_KEY_BYTES)).decode())),
)
_VOTERS: Fields = (
    ("rootSlot", option(u64)),
    ("authorizedVoters", listed(group((("epoch", u64), ("authorizedVoter", key))))),
)
_TAIL: Fields = (
    ("epochCredits", listed(group((("epoch", u64), ("credits", u64_text), ("previousCredits", u64_text))))),
    ("lastTimestamp", group((("slot", u64), ("timestamp", i64)))),
)


def parse_vote(address: bytes, data: bytes) -> dict[str, Any]:
    """Raises Unparsable, also for the form that accounts had before 2019."""
    reader = DataReader(data)
    version = reader.u32()
    if version not in (_WITHOUT_LATENCY, _WITH_LATENCY, _NEWEST):
        raise Unparsable
    info = read_fields(reader, _HEAD)
    if version == _NEWEST:
        info |= read_fields(reader, _COLLECTORS)
        info["commission"] = info["inflationRewardsCommissionBps"] // 100
    else:
        info |= _as_newest(reader.u8(), info["nodePubkey"], address)
    info["votes"] = _read_votes(reader, _old_votes if version == _WITHOUT_LATENCY else _votes)
    info |= read_fields(reader, _VOTERS)
    if version != _NEWEST:
        reader.take(_PRIOR_VOTERS_BYTES)
    # The newest version has no room for them.
    info["priorVoters"] = []
    return {"type": "vote", "info": info | read_fields(reader, _TAIL)}


def _as_newest(commission: int, node: str, address: bytes) -> dict[str, Any]:
    return {
        "commission": commission,
        "inflationRewardsCollector": str(Pubkey(address)),
        "blockRevenueCollector": node,
        "inflationRewardsCommissionBps": 100 * commission,
        "blockRevenueCommissionBps": _HUNDRED_PERCENT,
        "pendingDelegatorRewards": "0",
        "blsPubkeyCompressed": None,
    }


def _read_votes(reader: DataReader, read: Read) -> list[dict[str, int]]:
    return [{"latency": 0} | vote for vote in read(reader)]
