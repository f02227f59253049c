"""Instructions of the vote program. Source: Agave's `transaction-status/src/parse_vote.rs`."""

from __future__ import annotations

from typing import Any

from rpc.encoding.fields import Fields, group, i64, key, listed, option, u8, u32, u64
from rpc.encoding.instruction import DataReader, Instruction, Unparsable
from rpc.encoding.instruction_table import Row, parse_by

_NO_ROOT = 2**64 - 1


def _authority(reader: DataReader) -> str:
    number = reader.u32()
    if number > 1:
        raise Unparsable
    return ("Voter", "Withdrawer")[number]


def _compact(reader: DataReader) -> dict[str, Any]:
    """Lockouts as distances from each other, the first one from the root."""
    root = reader.u64()
    slot, lockouts = 0 if root == _NO_ROOT else root, []
    for _ in range(reader.varint(64)):
        slot += reader.varint(64)
        lockouts.append({"slot": slot, "confirmation_count": reader.u8()})
    return {
        "lockouts": lockouts,
        "root": None if root == _NO_ROOT else root,
        "hash": reader.key(),
        "timestamp": option(i64)(reader),
    }


def _tower(reader: DataReader) -> dict[str, Any]:
    return _compact(reader) | {"blockId": reader.key()}


_VOTE = group((("slots", listed(u64)), ("hash", key), ("timestamp", option(i64))))
_UPDATE = group(
    (
        ("lockouts", listed(group((("slot", u64), ("confirmation_count", u32))))),
        ("root", option(u64)),
        ("hash", key),
        ("timestamp", option(i64)),
    )
)
_HASH: Fields = (("hash", key),)
_TYPE: Fields = (("authorityType", _authority),)
_SEED: Fields = (("authorityOwner", key), ("authoritySeed", DataReader.text))
_VOTERS = ("voteAccount", "voteAuthority")
_WITH_SYSVARS = ("voteAccount", "slotHashesSysvar", "clockSysvar", "voteAuthority")

#: By the number in the data.
_ROWS = {
    0: Row(
        "initialize",
        ("voteAccount", "rentSysvar", "clockSysvar", "node"),
        (("node", key), ("authorizedVoter", key), ("authorizedWithdrawer", key), ("commission", u8)),
    ),
    1: Row("authorize", ("voteAccount", "clockSysvar", "authority"), (("newAuthority", key), *_TYPE)),
    2: Row("vote", _WITH_SYSVARS, (("vote", _VOTE),)),
    3: Row("withdraw", ("voteAccount", "destination", "withdrawAuthority"), (("lamports", u64),)),
    4: Row("updateValidatorIdentity", ("voteAccount", "newValidatorIdentity", "withdrawAuthority")),
    5: Row("updateCommission", ("voteAccount", "withdrawAuthority"), (("commission", u8),)),
    6: Row("voteSwitch", _WITH_SYSVARS, (("vote", _VOTE), *_HASH)),
    7: Row("authorizeChecked", ("voteAccount", "clockSysvar", "authority", "newAuthority"), _TYPE),
    8: Row("updatevotestate", _VOTERS, (("voteStateUpdate", _UPDATE),)),
    9: Row("updatevotestateswitch", _VOTERS, (("voteStateUpdate", _UPDATE), *_HASH)),
    10: Row(
        "authorizeWithSeed",
        ("voteAccount", "clockSysvar", "authorityBaseKey"),
        (*_TYPE, *_SEED, ("newAuthority", key)),
    ),
    11: Row(
        "authorizeCheckedWithSeed",
        ("voteAccount", "clockSysvar", "authorityBaseKey", "newAuthority"),
        (*_TYPE, *_SEED),
    ),
    12: Row("compactupdatevotestate", _VOTERS, (("voteStateUpdate", _compact),)),
    13: Row("compactupdatevotestateswitch", _VOTERS, (("voteStateUpdate", _compact), *_HASH)),
    14: Row("towersync", _VOTERS, (("towerSync", _tower),)),
    15: Row("towersyncswitch", _VOTERS, (("towerSync", _tower), *_HASH)),
}


def parse_vote_call(instruction: Instruction) -> dict[str, Any]:
    """Raises Unparsable."""
    return parse_by(_ROWS, instruction)
