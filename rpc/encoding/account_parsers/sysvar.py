"""The sysvars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solders.pubkey import Pubkey

from rpc.encoding.fields import Fields, Read, flag, group, i64, key, listed, read_fields, u64, u64_text, u128_text
from rpc.encoding.instruction import DataReader, Unparsable

_HISTORY_BITS = 1024 * 1024
_FEE_CALCULATOR: Fields = (("lamportsPerSignature", u64_text),)
_CLOCK: Fields = (
    ("slot", u64),
    ("epochStartTimestamp", i64),
    ("epoch", u64),
    ("leaderScheduleEpoch", u64),
    ("unixTimestamp", i64),
)
_EPOCH_SCHEDULE: Fields = (
    ("slotsPerEpoch", u64),
    ("leaderScheduleSlotOffset", u64),
    ("warmup", flag),
    ("firstNormalEpoch", u64),
    ("firstNormalSlot", u64),
)
_EPOCH_REWARDS: Fields = (
    ("distributionStartingBlockHeight", u64),
    ("numPartitions", u64),
    ("parentBlockhash", key),
    ("totalPoints", u128_text),
    ("totalRewards", u64_text),
    ("distributedRewards", u64_text),
    ("active", flag),
)
_STAKE_HISTORY: Fields = (
    ("epoch", u64),
    ("stakeHistory", group((("effective", u64), ("activating", u64), ("deactivating", u64)))),
)


def parse_sysvar(address: bytes, data: bytes) -> dict[str, Any]:
    """Raises Unparsable."""
    known = _SYSVARS.get(str(Pubkey(address)))
    if known is None:
        raise Unparsable
    kind, read = known
    return {"type": kind, "info": read(DataReader(data))}


def _object(*fields: tuple[str, Read]) -> Callable[[DataReader], Any]:
    return lambda reader: read_fields(reader, fields)


def _slot_history(reader: DataReader) -> dict[str, Any]:
    if not reader.u8():
        raise Unparsable
    words = reader.take(8 * reader.u64())
    if reader.u64() != _HISTORY_BITS:
        raise Unparsable
    # The first slot's bit comes first.
    bits = format(int.from_bytes(words, "little"), f"0{_HISTORY_BITS}b")[::-1]
    return {"nextSlot": reader.u64(), "bits": bits}


#: A new one is a line here: its address, Agave's name for it, and how its data is read.
_SYSVARS: dict[str, tuple[str, Callable[[DataReader], Any]]] = {
    "SysvarC1ock11111111111111111111111111111111": ("clock", _object(*_CLOCK)),
    "SysvarEpochSchedu1e111111111111111111111111": ("epochSchedule", _object(*_EPOCH_SCHEDULE)),
    "SysvarFees111111111111111111111111111111111": ("fees", _object(("feeCalculator", group(_FEE_CALCULATOR)))),
    "SysvarRecentB1ockHashes11111111111111111111": (
        "recentBlockhashes",
        listed(group((("blockhash", key), ("feeCalculator", group(_FEE_CALCULATOR))))),
    ),
    "SysvarRent111111111111111111111111111111111": ("rent", _object(("lamportsPerByte", u64_text))),
    "SysvarS1otHashes111111111111111111111111111": ("slotHashes", listed(group((("slot", u64), ("hash", key))))),
    "SysvarS1otHistory11111111111111111111111111": ("slotHistory", _slot_history),
    "SysvarStakeHistory1111111111111111111111111": ("stakeHistory", listed(group(_STAKE_HISTORY))),
    "SysvarLastRestartS1ot1111111111111111111111": ("lastRestartSlot", _object(("lastRestartSlot", u64))),
    "SysvarEpochRewards1111111111111111111111111": ("epochRewards", _object(*_EPOCH_REWARDS)),
}
