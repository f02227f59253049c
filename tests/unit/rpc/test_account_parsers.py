"""Accounts of every program that Agave parses, from bytes laid out by hand after the programs' own sources."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from banking.ledger.records import pack_account, unpack_account
from rpc.encoding.parsed_accounts import PROGRAMS, parse_account
from rpc.encoding.token_layout import TOKEN_2022_PROGRAM

_ADDRESS = Pubkey.from_string("4QUZQ4c7bZuJ4o4L8tYAEGnePFV27SUFEVmC7BYfsXRp")
_KEYS = [Pubkey(bytes([number]) * 32) for number in range(1, 5)]
A, B, C, D = map(bytes, _KEYS)
a, b, c, d = map(str, _KEYS)
_NONE = bytes(32)
_MINT = D
_STAKE_META = struct.pack("<Q32s32sqQ32s", 2_282_880, A, B, -5, 7, C)


def _u64(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "little") for number in numbers)


def _parse(owner: str | Pubkey, data: bytes, address: str | Pubkey = _ADDRESS) -> Any:
    record = pack_account(Account(lamports=1, data=data, owner=Pubkey.from_string(str(owner)), executable=False))
    key = bytes(Pubkey.from_string(str(address)))
    return parse_account(key, record, unpack_account(record), {_MINT: 2})


def _owner(name: str) -> str:
    return next(owner for owner, known, _ in PROGRAMS if known == name)


def _info(program: str, data: bytes, kind: str, address: str | Pubkey = _ADDRESS) -> Any:
    found = _parse(_owner(program), data, address)
    assert (found["program"], found["space"], found["parsed"]["type"]) == (program, len(data), kind)
    return found["parsed"].get("info")


def test_stake_accounts() -> None:
    meta = {
        "rentExemptReserve": "2282880",
        "authorized": {"staker": a, "withdrawer": b},
        "lockup": {"unixTimestamp": -5, "epoch": 7, "custodian": c},
    }
    assert _info("stake", b"\1\0\0\0" + _STAKE_META + bytes(76), "initialized") == {"meta": meta, "stake": None}
    delegation = D + _u64(10**9, 3, 2**64 - 1) + struct.pack("<d", 0.25) + _u64(42) + b"\0"
    delegated = {
        "meta": meta,
        "stake": {
            "delegation": {
                "voter": d,
                "stake": "1000000000",
                "activationEpoch": "3",
                "deactivationEpoch": "18446744073709551615",
            },
            "creditsObserved": 42,
        },
    }
    assert _info("stake", b"\2\0\0\0" + _STAKE_META + delegation + bytes(3), "delegated") == delegated
    assert _info("stake", bytes(200), "uninitialized") is None
    assert _info("stake", b"\3\0\0\0", "rewardsPool") is None
    assert _parse(_owner("stake"), b"\2\0\0\0" + _STAKE_META) is None


@pytest.mark.parametrize("latency", [True, False])
def test_vote_accounts_of_older_versions_are_shown_as_the_newest(latency: bool) -> None:
    votes = [(5, 100, 31), (2, 101, 30)]
    data = (2 if latency else 1).to_bytes(4, "little") + A + B + b"\x0a" + _u64(2)
    for late, slot, count in votes:
        data += bytes([late] if latency else []) + struct.pack("<QI", slot, count)
    data += b"\1" + _u64(99) + _u64(1, 6) + C + bytes(32 * 48 + 9) + _u64(1, 6, 500, 400) + _u64(101, 1_700_000_000)
    expected = {
        "nodePubkey": a,
        "authorizedWithdrawer": b,
        "commission": 10,
        "votes": [
            {"latency": late if latency else 0, "slot": slot, "confirmationCount": count} for late, slot, count in votes
        ],
        "rootSlot": 99,
        "authorizedVoters": [{"epoch": 6, "authorizedVoter": c}],
        "priorVoters": [],
        "epochCredits": [{"epoch": 6, "credits": "500", "previousCredits": "400"}],
        "lastTimestamp": {"slot": 101, "timestamp": 1_700_000_000},
        "inflationRewardsCollector": str(_ADDRESS),
        "blockRevenueCollector": a,
        "inflationRewardsCommissionBps": 1000,
        "blockRevenueCommissionBps": 10_000,
        "pendingDelegatorRewards": "0",
        "blsPubkeyCompressed": None,
    }
    assert _info("vote", data + bytes(1000), "vote") == expected


def test_vote_accounts_of_the_newest_version() -> None:
    collectors = C + D + struct.pack("<HHQ", 550, 9000, 77) + b"\1" + b"\7" * 48
    data = b"\3\0\0\0" + A + B + collectors + _u64(0) + b"\0" + _u64(0) + _u64(0) + _u64(0, 0)
    info = _info("vote", data.ljust(3762, b"\0"), "vote")
    assert (info["commission"], info["inflationRewardsCommissionBps"], info["rootSlot"]) == (5, 550, None)
    assert (info["inflationRewardsCollector"], info["blockRevenueCollector"]) == (c, d)
    assert (info["pendingDelegatorRewards"], info["blockRevenueCommissionBps"]) == ("77", 9000)
    assert len(info["blsPubkeyCompressed"]) > 60
    assert _parse(_owner("vote"), bytes(4)) is None


def test_validator_info() -> None:
    told = json.dumps({"name": "n", "website": "w"}).encode()
    marker = bytes(Pubkey.from_string("Va1idator1nfo111111111111111111111111111111"))
    data = b"\2" + marker + b"\0" + A + b"\1" + _u64(len(told)) + told
    assert _info("config", data + bytes(500), "validatorInfo") == {
        "keys": [
            {"pubkey": "Va1idator1nfo111111111111111111111111111111", "signer": False},
            {"pubkey": a, "signer": True},
        ],
        "configData": {"name": "n", "website": "w"},
    }
    # The stake program's, and what is no JSON.
    assert _parse(_owner("config"), bytes(10)) is None
    assert _parse(_owner("config"), b"\1" + marker + b"\0" + _u64(1) + b"{") is None


def test_sysvars() -> None:
    hashes = _u64(2) + _u64(9) + A + _u64(8) + B
    recent = _u64(2) + A + _u64(5000) + B + _u64(5000)
    fee = {"feeCalculator": {"lamportsPerSignature": "5000"}}
    bits = (0b1011).to_bytes(8, "little") + bytes(1024 * 1024 // 8 - 8)
    history = b"\1" + _u64(1024 * 1024 // 64) + bits + _u64(1024 * 1024, 4)
    rewards = _u64(5, 6) + A + (2**70).to_bytes(16, "little") + _u64(100, 20) + b"\1"
    expected: dict[str, tuple[str, bytes, Any]] = {
        "SysvarEpochSchedu1e111111111111111111111111": (
            "epochSchedule",
            struct.pack("<QQ?QQ", 432_000, 432_000, False, 0, 0),
            {
                "slotsPerEpoch": 432_000,
                "leaderScheduleSlotOffset": 432_000,
                "warmup": False,
                "firstNormalEpoch": 0,
                "firstNormalSlot": 0,
            },
        ),
        "SysvarFees111111111111111111111111111111111": ("fees", _u64(5000), fee),
        "SysvarRecentB1ockHashes11111111111111111111": (
            "recentBlockhashes",
            recent.ljust(6008, b"\0"),
            [{"blockhash": a, **fee}, {"blockhash": b, **fee}],
        ),
        "SysvarRent111111111111111111111111111111111": (
            "rent",
            struct.pack("<QdB", 6960, 1.0, 50),
            {"lamportsPerByte": "6960"},
        ),
        "SysvarS1otHashes111111111111111111111111111": (
            "slotHashes",
            hashes.ljust(20_488, b"\0"),
            [{"slot": 9, "hash": a}, {"slot": 8, "hash": b}],
        ),
        "SysvarS1otHistory11111111111111111111111111": (
            "slotHistory",
            history,
            {"nextSlot": 4, "bits": "1101".ljust(1024 * 1024, "0")},
        ),
        "SysvarStakeHistory1111111111111111111111111": (
            "stakeHistory",
            _u64(1, 3, 10, 2, 1),
            [{"epoch": 3, "stakeHistory": {"effective": 10, "activating": 2, "deactivating": 1}}],
        ),
        "SysvarLastRestartS1ot1111111111111111111111": ("lastRestartSlot", _u64(1282), {"lastRestartSlot": 1282}),
        "SysvarEpochRewards1111111111111111111111111": (
            "epochRewards",
            rewards,
            {
                "distributionStartingBlockHeight": 5,
                "numPartitions": 6,
                "parentBlockhash": a,
                "totalPoints": str(2**70),
                "totalRewards": "100",
                "distributedRewards": "20",
                "active": True,
            },
        ),
    }
    for address, (kind, data, info) in expected.items():
        assert _info("sysvar", data, kind, address) == info
    assert _parse(_owner("sysvar"), bytes(8), "Sysvar1nstructions1111111111111111111111111") is None
    assert _parse(_owner("sysvar"), bytes(4), "SysvarStakeHistory1111111111111111111111111") is None


def test_loader_accounts_show_their_code() -> None:
    code = [base64.b64encode(b"code").decode(), "base64"]
    assert _info("bpf-upgradeable-loader", b"\1\0\0\0\1" + A + b"code", "buffer") == {"authority": a, "data": code}
    assert _info("bpf-upgradeable-loader", b"\1\0\0\0\0code", "buffer") == {"authority": None, "data": code}
    assert _info("bpf-upgradeable-loader", b"\2\0\0\0" + A, "program") == {"programData": a}
    data = b"\3\0\0\0" + _u64(9) + b"\1" + A + b"code"
    assert _info("bpf-upgradeable-loader", data, "programData") == {"slot": 9, "authority": a, "data": code}
    final = b"\3\0\0\0" + _u64(9) + b"\0code"
    assert _info("bpf-upgradeable-loader", final, "programData") == {"slot": 9, "authority": None, "data": code}


def test_nonces_and_lookup_tables() -> None:
    nonce = b"\1\0\0\0\1\0\0\0" + A + B + _u64(5000)
    info = {"authority": a, "blockhash": b, "feeCalculator": {"lamportsPerSignature": "5000"}}
    assert _info("nonce", nonce, "initialized") == info
    assert _parse(_owner("nonce"), nonce[:79]) is None
    table = b"\1\0\0\0" + _u64(2**64 - 1, 5) + b"\2\1" + A + bytes(2) + B + C
    assert _info("address-lookup-table", table, "lookupTable") == {
        "deactivationSlot": str(2**64 - 1),
        "lastExtendedSlot": "5",
        "lastExtendedSlotStartIndex": 2,
        "authority": a,
        "addresses": [b, c],
    }
    frozen = b"\1\0\0\0" + _u64(2**64 - 1, 5) + b"\0\0" + bytes(34)
    assert "authority" not in _info("address-lookup-table", frozen, "lookupTable")


def _mint_with(*extensions: tuple[int, bytes]) -> bytes:
    mint = bytes(36) + _u64(7) + b"\2\1" + bytes(36)
    data = mint.ljust(165, b"\0") + b"\1"
    return data + b"".join(struct.pack("<HH", kind, len(part)) + part for kind, part in extensions)


def _text(value: str) -> bytes:
    return struct.pack("<I", len(value.encode())) + value.encode()


_FEES = struct.pack("<QQH", 455, 39, 0) + struct.pack("<QQH", 457, 40, 690)
_X64, _X36, _X32 = (base64.b64encode(b"\x09" * size).decode() for size in (64, 36, 32))
_EXTENSIONS: list[tuple[int, bytes, str, Any]] = [
    (
        1,
        A + _NONE + _u64(3) + _FEES,
        "transferFeeConfig",
        {
            "transferFeeConfigAuthority": a,
            "withdrawWithheldAuthority": None,
            "withheldAmount": 3,
            "olderTransferFee": {"epoch": 455, "maximumFee": 39, "transferFeeBasisPoints": 0},
            "newerTransferFee": {"epoch": 457, "maximumFee": 40, "transferFeeBasisPoints": 690},
        },
    ),
    (2, _u64(9), "transferFeeAmount", {"withheldAmount": 9}),
    (3, A, "mintCloseAuthority", {"closeAuthority": a}),
    (
        4,
        A + b"\1" + b"\x09" * 32,
        "confidentialTransferMint",
        {"authority": a, "autoApproveNewAccounts": True, "auditorElgamalPubkey": _X32},
    ),
    (
        5,
        b"\1" + b"\x09" * (32 + 3 * 64 + 36) + b"\1\0" + _u64(1, 2, 3, 4),
        "confidentialTransferAccount",
        {
            "approved": True,
            "elgamalPubkey": _X32,
            "pendingBalanceLo": _X64,
            "pendingBalanceHi": _X64,
            "availableBalance": _X64,
            "decryptableAvailableBalance": _X36,
            "allowConfidentialCredits": True,
            "allowNonConfidentialCredits": False,
            "pendingBalanceCreditCounter": 1,
            "maximumPendingBalanceCreditCounter": 2,
            "expectedPendingBalanceCreditCounter": 3,
            "actualPendingBalanceCreditCounter": 4,
        },
    ),
    (6, b"\2", "defaultAccountState", {"accountState": "frozen"}),
    (7, b"", "immutableOwner", None),
    (8, b"\1", "memoTransfer", {"requireIncomingTransferMemos": True}),
    (9, b"", "nonTransferable", None),
    (
        10,
        A + struct.pack("<qhqh", 5, -6, 7, 8),
        "interestBearingConfig",
        {
            "rateAuthority": a,
            "initializationTimestamp": 5,
            "preUpdateAverageRate": -6,
            "lastUpdateTimestamp": 7,
            "currentRate": 8,
        },
    ),
    (11, b"\0", "cpiGuard", {"lockCpi": False}),
    (12, A, "permanentDelegate", {"delegate": a}),
    (13, b"", "nonTransferableAccount", None),
    (14, _NONE + B, "transferHook", {"authority": None, "programId": b}),
    (15, b"\0", "transferHookAccount", {"transferring": False}),
    (
        16,
        A + b"\x09" * 32 + b"\1" + b"\x09" * 64,
        "confidentialTransferFeeConfig",
        {
            "authority": a,
            "withdrawWithheldAuthorityElgamalPubkey": _X32,
            "harvestToMintEnabled": True,
            "withheldAmount": _X64,
        },
    ),
    (17, b"\x09" * 64, "confidentialTransferFeeAmount", {"withheldAmount": _X64}),
    (18, A + B, "metadataPointer", {"authority": a, "metadataAddress": b}),
    (
        19,
        A + B + _text("Ünicode") + _text("UNI") + _text("") + struct.pack("<I", 1) + _text("k") + _text("v"),
        "tokenMetadata",
        {
            "updateAuthority": a,
            "mint": b,
            "name": "Ünicode",
            "symbol": "UNI",
            "uri": "",
            "additionalMetadata": [["k", "v"]],
        },
    ),
    (20, A + B, "groupPointer", {"authority": a, "groupAddress": b}),
    (21, A + B + _u64(1, 10), "tokenGroup", {"updateAuthority": a, "mint": b, "size": 1, "maxSize": 10}),
    (22, A + B, "groupMemberPointer", {"authority": a, "memberAddress": b}),
    (23, A + B + _u64(3), "tokenGroupMember", {"mint": a, "group": b, "memberNumber": 3}),
    (
        24,
        b"\x09" * (64 + 36 + 32 + 64),
        "confidentialMintBurn",
        {"confidentialSupply": _X64, "decryptableSupply": _X36, "supplyElgamalPubkey": _X32, "pendingBurn": _X64},
    ),
    (
        25,
        A + struct.pack("<dqd", 1.5, 9, 1e-7),
        "scaledUiAmountConfig",
        {
            "authority": a,
            "multiplier": "1.5",
            "newMultiplierEffectiveTimestamp": 9,
            "newMultiplier": "0.0000001",
        },
    ),
    (26, A + b"\1", "pausableConfig", {"authority": a, "paused": True}),
    (27, b"", "pausableAccount", None),
]


@pytest.mark.parametrize(("kind", "data", "name", "state"), _EXTENSIONS, ids=[row[2] for row in _EXTENSIONS])
def test_extensions_of_token_2022(kind: int, data: bytes, name: str, state: Any) -> None:
    found = _parse(TOKEN_2022_PROGRAM, _mint_with((7, b""), (kind, data)))
    expected = {"extension": name} if state is None else {"extension": name, "state": state}
    assert found["program"] == "spl-token-2022"
    assert found["parsed"]["info"]["extensions"] == [{"extension": "immutableOwner"}, expected]
    if data:
        cut = _parse(TOKEN_2022_PROGRAM, _mint_with((kind, data[:-1])))["parsed"]["info"]["extensions"]
        assert cut == [{"extension": "unparseableExtension"}]


def test_an_unknown_extension_hides_the_others_as_with_agave() -> None:
    info = _parse(TOKEN_2022_PROGRAM, _mint_with((7, b""), (999, b"x")))["parsed"]["info"]
    assert "extensions" not in info
    assert "extensions" not in _parse(TOKEN_2022_PROGRAM, _mint_with())["parsed"]["info"]
