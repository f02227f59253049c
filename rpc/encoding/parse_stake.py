"""Instructions of the stake program. Source: Agave's `transaction-status/src/parse_stake.rs`.

Since it is a BPF program it takes its accounts with the sysvars among them, as before, or without: a sysvar that stands
where it used to is told, and what follows is one place further on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rpc.encoding.fields import Fields, group, i64, key, option, read_fields, u64
from rpc.encoding.instruction import DataReader, Instruction, Unparsable
from rpc.encoding.instruction_table import Row

_CLOCK = "SysvarC1ock11111111111111111111111111111111"
_SYSVARS = {
    _CLOCK: "clockSysvar",
    "SysvarRent111111111111111111111111111111111": "rentSysvar",
    "SysvarStakeHistory1111111111111111111111111": "stakeHistorySysvar",
    "StakeConfig11111111111111111111111111111111": "stakeConfigAccount",
}


def _authority(reader: DataReader) -> str:
    number = reader.u32()
    if number > 1:
        raise Unparsable
    return ("Staker", "Withdrawer")[number]


def _lockup_changes(*names: str) -> Callable[[DataReader], dict[str, Any]]:
    reads = {"unixTimestamp": option(i64), "epoch": option(u64), "custodian": option(key)}

    def read(reader: DataReader) -> dict[str, Any]:
        found = {name: reads[name](reader) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    return read


_AUTHORIZED: Fields = (
    ("authorized", group((("staker", key), ("withdrawer", key)))),
    ("lockup", group((("unixTimestamp", i64), ("epoch", u64), ("custodian", key)))),
)
_LAMPORTS: Fields = (("lamports", u64),)
_TYPE: Fields = (("authorityType", _authority),)
_SEED: Fields = (("authoritySeed", DataReader.text), ("authorityOwner", key))
_MOVED = ("source", "destination", "stakeAuthority")

#: By the number in the data. Sysvars are left out of the accounts: they are told wherever they stand.
_ROWS = {
    0: Row("initialize", ("stakeAccount",), _AUTHORIZED),
    1: Row("authorize", ("stakeAccount", "authority"), (("newAuthority", key), *_TYPE), ("custodian",)),
    2: Row("delegate", ("stakeAccount", "voteAccount"), more=("stakeAuthority",)),
    3: Row("split", ("stakeAccount", "newSplitAccount"), _LAMPORTS, ("stakeAuthority",)),
    4: Row("withdraw", ("stakeAccount", "destination", "withdrawAuthority"), _LAMPORTS, ("custodian",)),
    5: Row("deactivate", ("stakeAccount",), more=("stakeAuthority",)),
    6: Row(
        "setLockup",
        ("stakeAccount", "custodian"),
        (("lockup", _lockup_changes("unixTimestamp", "epoch", "custodian")),),
    ),
    7: Row("merge", ("destination", "source"), more=("stakeAuthority",)),
    8: Row(
        "authorizeWithSeed", ("stakeAccount", "authorityBase"), (("newAuthorized", key), *_TYPE, *_SEED), ("custodian",)
    ),
    9: Row("initializeChecked", ("stakeAccount", "staker", "withdrawer")),
    10: Row("authorizeChecked", ("stakeAccount", "authority", "newAuthority"), _TYPE, ("custodian",)),
    11: Row(
        "authorizeCheckedWithSeed",
        ("stakeAccount", "authorityBase", "newAuthorized"),
        (*_TYPE, *_SEED),
        ("custodian",),
    ),
    14: Row("deactivateDelinquent", ("stakeAccount", "voteAccount", "referenceVoteAccount")),
    16: Row("moveStake", _MOVED, _LAMPORTS),
    17: Row("moveLamports", _MOVED, _LAMPORTS),
}
_SET_LOCKUP_CHECKED, _GET_MINIMUM_DELEGATION = 12, 13


def parse_stake_call(instruction: Instruction) -> dict[str, Any]:
    """Raises Unparsable."""
    data = DataReader(instruction.data)
    number = data.u32()
    if number == _GET_MINIMUM_DELEGATION:
        return {"type": "getMinimumDelegation", "info": None}
    if number == _SET_LOCKUP_CHECKED:
        return _set_lockup_checked(instruction, data)
    row = _ROWS.get(number)
    if row is None:
        raise Unparsable
    sysvars = {_SYSVARS[account]: account for account in instruction.accounts if account in _SYSVARS}
    bare = replace(instruction, accounts=list(_without_sysvars(instruction)))
    parsed = row.read(bare, data)
    parsed["info"] |= sysvars
    return parsed


def _without_sysvars(instruction: Instruction) -> Iterator[str]:
    return (account for account in instruction.accounts if account not in _SYSVARS)


def _set_lockup_checked(instruction: Instruction, data: DataReader) -> dict[str, Any]:
    lockup = read_fields(data, (("lockup", _lockup_changes("unixTimestamp", "epoch")),))["lockup"]
    if len(instruction.accounts) > 2:
        lockup["custodian"] = instruction.account(2)
    info = {"stakeAccount": instruction.account(0), "custodian": instruction.account(1), "lockup": lockup}
    return {"type": "setLockupChecked", "info": info}
