"""Instructions of stake, vote and the loaders, from data laid out by hand after the programs' own sources."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from solders.pubkey import Pubkey

from rpc.encoding.instruction import Instruction
from rpc.encoding.parsed_instructions import parse_instruction

_KEYS = [Pubkey(bytes([number]) * 32) for number in range(1, 9)]
A, B, C, D = (bytes(key) for key in _KEYS[:4])
a, b, c, d, e, f, g, h = map(str, _KEYS)
_CLOCK = "SysvarC1ock11111111111111111111111111111111"
_RENT = "SysvarRent111111111111111111111111111111111"
_HISTORY = "SysvarStakeHistory1111111111111111111111111"
_CONFIG = "StakeConfig11111111111111111111111111111111"
_STAKE = ("Stake11111111111111111111111111111111111111", "stake")
_VOTE = ("Vote111111111111111111111111111111111111111", "vote")
_UPGRADEABLE = ("BPFLoaderUpgradeab1e11111111111111111111111", "bpf-upgradeable-loader")
_LOADER = ("BPFLoader2111111111111111111111111111111111", "bpf-loader")


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _u64(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "little") for number in numbers)


_AUTHORIZED = {"staker": a, "withdrawer": b}
_LOCKUP = {"unixTimestamp": -1, "epoch": 2, "custodian": c}
_SEEDED = {"authorityType": "Withdrawer", "authoritySeed": "seed", "authorityOwner": d}
_SEED = _u32(1) + _u64(4) + b"seed" + D
_TOWER = _u64(100) + b"\2" + b"\x01\x1f" + b"\x81\x01\x1e" + A + b"\1" + struct.pack("<q", 9)
_LOCKOUTS = {
    "lockouts": [{"slot": 101, "confirmation_count": 31}, {"slot": 230, "confirmation_count": 30}],
    "root": 100,
    "hash": a,
    "timestamp": 9,
}

_CASES: list[tuple[tuple[str, str], int, bytes, list[str], str, Any]] = [
    (
        _STAKE,
        0,
        A + B + struct.pack("<qQ", -1, 2) + C,
        [d, _RENT],
        "initialize",
        {"stakeAccount": d, "rentSysvar": _RENT, "authorized": _AUTHORIZED, "lockup": _LOCKUP},
    ),
    (
        _STAKE,
        1,
        A + _u32(0),
        [b, _CLOCK, c],
        "authorize",
        {"stakeAccount": b, "clockSysvar": _CLOCK, "authority": c, "newAuthority": a, "authorityType": "Staker"},
    ),
    (
        _STAKE,
        1,
        A + _u32(1),
        [b, c, d],
        "authorize",
        {"stakeAccount": b, "authority": c, "newAuthority": a, "authorityType": "Withdrawer", "custodian": d},
    ),
    (
        _STAKE,
        2,
        b"",
        [a, b, _CLOCK, _HISTORY, _CONFIG, c],
        "delegate",
        {
            "stakeAccount": a,
            "voteAccount": b,
            "clockSysvar": _CLOCK,
            "stakeHistorySysvar": _HISTORY,
            "stakeConfigAccount": _CONFIG,
            "stakeAuthority": c,
        },
    ),
    (_STAKE, 2, b"", [a, b, c], "delegate", {"stakeAccount": a, "voteAccount": b, "stakeAuthority": c}),
    (
        _STAKE,
        3,
        _u64(5),
        [a, b, c],
        "split",
        {"stakeAccount": a, "newSplitAccount": b, "stakeAuthority": c, "lamports": 5},
    ),
    (
        _STAKE,
        4,
        _u64(5),
        [a, b, _CLOCK, _HISTORY, c],
        "withdraw",
        {
            "stakeAccount": a,
            "destination": b,
            "clockSysvar": _CLOCK,
            "stakeHistorySysvar": _HISTORY,
            "withdrawAuthority": c,
            "lamports": 5,
        },
    ),
    (
        _STAKE,
        5,
        b"",
        [a, _CLOCK, b],
        "deactivate",
        {"stakeAccount": a, "clockSysvar": _CLOCK, "stakeAuthority": b},
    ),
    (
        _STAKE,
        6,
        b"\0" + b"\1" + _u64(7) + b"\0",
        [a, b],
        "setLockup",
        {"stakeAccount": a, "custodian": b, "lockup": {"epoch": 7}},
    ),
    (
        _STAKE,
        7,
        b"",
        [a, b, _CLOCK, _HISTORY, c],
        "merge",
        {"destination": a, "source": b, "clockSysvar": _CLOCK, "stakeHistorySysvar": _HISTORY, "stakeAuthority": c},
    ),
    (
        _STAKE,
        8,
        C + _SEED,
        [a, b, _CLOCK],
        "authorizeWithSeed",
        {"stakeAccount": a, "authorityBase": b, "newAuthorized": c, "clockSysvar": _CLOCK} | _SEEDED,
    ),
    (
        _STAKE,
        12,
        b"\1" + struct.pack("<q", 3) + b"\0",
        [a, b, c],
        "setLockupChecked",
        {"stakeAccount": a, "custodian": b, "lockup": {"unixTimestamp": 3, "custodian": c}},
    ),
    (_STAKE, 13, b"", [], "getMinimumDelegation", None),
    (
        _VOTE,
        0,
        A + B + C + b"\x0a",
        [d, _RENT, _CLOCK, a],
        "initialize",
        {
            "voteAccount": d,
            "rentSysvar": _RENT,
            "clockSysvar": _CLOCK,
            "node": a,
            "authorizedVoter": b,
            "authorizedWithdrawer": c,
            "commission": 10,
        },
    ),
    (
        _VOTE,
        2,
        _u64(2, 5, 6) + A + b"\0",
        [a, b, c, d],
        "vote",
        {
            "voteAccount": a,
            "slotHashesSysvar": b,
            "clockSysvar": c,
            "voteAuthority": d,
            "vote": {"slots": [5, 6], "hash": a, "timestamp": None},
        },
    ),
    (
        _VOTE,
        3,
        _u64(8),
        [a, b, c],
        "withdraw",
        {"voteAccount": a, "destination": b, "withdrawAuthority": c, "lamports": 8},
    ),
    (
        _VOTE,
        12,
        _TOWER,
        [a, b],
        "compactupdatevotestate",
        {"voteAccount": a, "voteAuthority": b, "voteStateUpdate": _LOCKOUTS},
    ),
    (
        _VOTE,
        14,
        _TOWER + B,
        [a, b],
        "towersync",
        {"voteAccount": a, "voteAuthority": b, "towerSync": _LOCKOUTS | {"blockId": b}},
    ),
    (
        _UPGRADEABLE,
        1,
        _u32(7) + _u64(3) + b"abc",
        [a, b],
        "write",
        {"account": a, "authority": b, "offset": 7, "bytes": base64.b64encode(b"abc").decode()},
    ),
    (
        _UPGRADEABLE,
        2,
        _u64(99),
        [a, b, c, d, _RENT, _CLOCK, g, h],
        "deployWithMaxDataLen",
        {
            "maxDataLen": 99,
            "payerAccount": a,
            "programDataAccount": b,
            "programAccount": c,
            "bufferAccount": d,
            "rentSysvar": _RENT,
            "clockSysvar": _CLOCK,
            "systemProgram": g,
            "authority": h,
        },
    ),
    (_UPGRADEABLE, 4, b"", [a, b], "setAuthority", {"account": a, "authority": b, "newAuthority": None}),
    (
        _UPGRADEABLE,
        5,
        b"",
        [a, b, c],
        "close",
        {"account": a, "recipient": b, "authority": c, "programAccount": None},
    ),
    (_LOADER, 1, b"", [a], "finalize", {"account": a}),
]


@pytest.mark.parametrize(
    ("program", "number", "data", "accounts", "kind", "info"), _CASES, ids=[f"{row[0][1]}-{row[4]}" for row in _CASES]
)
def test_instructions_are_told_as_by_agave(
    program: tuple[str, str], number: int, data: bytes, accounts: list[str], kind: str, info: Any
) -> None:
    address, name = program
    whole = _u32(number) + data
    parsed = parse_instruction(Instruction(address, accounts, whole))
    assert parsed == {"program": name, "parsed": {"type": kind, "info": info}}
    # What is cut off, or lacks its accounts, is shown as it is.
    if data:
        assert parse_instruction(Instruction(address, accounts, whole[:-1])) is None
    if accounts:
        assert parse_instruction(Instruction(address, [], whole)) is None


def test_unknown_instructions_are_shown_as_they_are() -> None:
    for program in (_STAKE, _VOTE, _UPGRADEABLE, _LOADER):
        assert parse_instruction(Instruction(program[0], [e, f], _u32(999))) is None
        assert parse_instruction(Instruction(program[0], [e, f], b"")) is None
