"""How the RPC shows instructions, token amounts, errors and accounts."""

from __future__ import annotations

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.account import Account
from solders.pubkey import Pubkey
from solders.system_program import (
    CreateAccountWithSeedParams,
    TransferParams,
    create_account_with_seed,
    transfer,
)
from solders.token.state import Mint, TokenAccount, TokenAccountState

from banking.ledger.records import pack_account
from recovery.clock import ManualClock
from rpc.encoding.accounts import AccountEncoding
from rpc.encoding.error_text import transaction_error_text
from rpc.encoding.instruction import Instruction
from rpc.encoding.parsed_instructions import parse_instruction
from rpc.encoding.token_layout import TOKEN_PROGRAM, read_mint, read_token_account, token_amount
from rpc.jsonrpc.answer_cache import AnswerCache
from rpc.jsonrpc.errors import Overloaded, RpcError
from rpc.jsonrpc.limits import Limits
from rpc.jsonrpc.params import Config, DataSlice

_A, _B, _C = (Pubkey.new_unique() for _ in range(3))


def _parsed(built: object) -> dict[str, object] | None:
    program, accounts, data = built.program_id, built.accounts, built.data  # type: ignore[attr-defined]
    return parse_instruction(Instruction(str(program), [str(meta.pubkey) for meta in accounts], bytes(data)))


def test_system_instructions_are_read() -> None:
    assert _parsed(transfer(TransferParams(from_pubkey=_A, to_pubkey=_B, lamports=7))) == {
        "program": "system",
        "parsed": {"type": "transfer", "info": {"source": str(_A), "destination": str(_B), "lamports": 7}},
    }
    params = CreateAccountWithSeedParams(
        from_pubkey=_A, to_pubkey=_B, base=_A, seed="säd", lamports=2**63, space=3, owner=_C
    )
    found = _parsed(create_account_with_seed(params))
    assert found is not None
    assert found["parsed"] == {
        "type": "createAccountWithSeed",
        "info": {
            "source": str(_A),
            "newAccount": str(_B),
            "base": str(_A),
            "seed": "säd",
            "lamports": 2**63,
            "space": 3,
            "owner": str(_C),
        },
    }


def test_token_instructions_tell_single_owners_from_multisigs() -> None:
    data = b"\x0c" + (1_500_000).to_bytes(8, "little") + b"\x06"
    keys = [str(Pubkey.new_unique()) for _ in range(6)]
    alone = parse_instruction(Instruction(str(TOKEN_PROGRAM), keys[:4], data))
    assert alone is not None
    assert alone["parsed"] == {
        "type": "transferChecked",
        "info": {
            "source": keys[0],
            "mint": keys[1],
            "destination": keys[2],
            "authority": keys[3],
            "tokenAmount": token_amount(1_500_000, 6),
        },
    }
    together = parse_instruction(Instruction(str(TOKEN_PROGRAM), keys, data))
    assert together is not None
    assert together["parsed"]["info"]["multisigAuthority"] == keys[3]
    assert together["parsed"]["info"]["signers"] == keys[4:]


_UNKNOWN = "Unknown1111111111111111111111111111111111111"
_PROGRAMS = [
    "11111111111111111111111111111111",
    str(TOKEN_PROGRAM),
    "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
    "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL",
    "AddressLookupTab1e1111111111111111111111111",
    "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr",
    _UNKNOWN,
]


@given(
    st.sampled_from(_PROGRAMS),
    st.integers(0, 8),
    st.one_of(st.binary(max_size=80), st.binary(min_size=4).map(lambda data: bytes([data[0] % 26, 0, 0, 0]) + data)),
)
def test_any_instruction_is_read_or_left_as_it_is(program: str, accounts: int, data: bytes) -> None:
    keys = [str(Pubkey.new_unique()) for _ in range(accounts)]
    found = parse_instruction(Instruction(program, keys, data))
    if found is not None:
        assert set(found) == {"program", "parsed"}
        assert program != _UNKNOWN


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [(0, 6, "0"), (1, 6, "0.000001"), (1_500_000, 6, "1.5"), (2**64 - 1, 0, str(2**64 - 1)), (10**9, 9, "1")],
)
def test_token_amounts_are_exact_as_text(amount: int, decimals: int, text: str) -> None:
    assert token_amount(amount, decimals)["uiAmountString"] == text


def test_token_layouts_agree_with_solders() -> None:
    mint = Mint(_A, 2**64 - 1, 9, True, None)
    found = read_mint(bytes(mint))
    assert (found.authority, found.supply, found.decimals) == (bytes(_A), 2**64 - 1, 9)
    assert found.freeze_authority is None
    account = TokenAccount(_A, _B, 5, _C, TokenAccountState.Frozen, 7, 3, None)
    read = read_token_account(bytes(account))
    assert (read.mint, read.owner, read.amount, read.delegate) == (bytes(_A), bytes(_B), 5, bytes(_C))
    assert (read.state, read.native_reserve, read.delegated_amount, read.close_authority) == ("frozen", 7, 3, None)


def _record(data: bytes) -> bytes:
    return pack_account(Account(lamports=1, data=data, owner=Pubkey.default(), executable=False))


def test_slices_and_the_base58_limit() -> None:
    record = _record(bytes(range(200)))
    cut = AccountEncoding("base58", DataSlice(10, 3)).encode(bytes(32), record, {})
    assert base58.b58decode(cut["data"][0]) == bytes([10, 11, 12])
    assert cut["space"] == 200
    with pytest.raises(RpcError, match="128 bytes") as caught:
        AccountEncoding("base58").encode(bytes(32), record, {})
    assert caught.value.code == -32600


@pytest.mark.parametrize(
    ("err", "text"),
    [
        ("BlockhashNotFound", "Blockhash not found"),
        ({"InstructionError": [1, {"Custom": 6000}]}, "Error processing Instruction 1: custom program error: 0x1770"),
        ({"InstructionError": [0, "MissingRequiredSignature"]}, "Error processing Instruction 0: missing required"),
        ({"InsufficientFundsForRent": {"account_index": 2}}, "Transaction results in an account (2) with insufficient"),
        ("SomethingNew", "SomethingNew"),
    ],
)
def test_errors_in_agaves_words(err: object, text: str) -> None:
    assert transaction_error_text(err).startswith(text)


def test_a_configuration_says_what_is_wrong_with_it() -> None:
    for fields, part in (
        ({"limit": -1}, "expected u64"),
        ({"limit": True}, "boolean `true`"),
        ({"limit": 2**64}, "expected u64"),
        ({"limit": 10**5000}, "integer"),
        ({"limit": 1.5}, "floating point"),
    ):
        with pytest.raises(RpcError, match=part) as caught:
            Config(fields).uint("limit")
        assert caught.value.code == -32602


def test_a_rate_is_kept_over_time() -> None:
    clock = ManualClock()
    limits = Limits(calls_per_second=2, airdrops_per_minute=1, connections=1, in_flight=1, clock=clock)
    limits.spend("a")
    limits.spend("a")
    with pytest.raises(Overloaded) as caught:
        limits.spend("a")
    assert caught.value.retry_after == pytest.approx(0.5)
    limits.spend("b")
    clock.advance(0.5)
    limits.spend("a")
    assert limits.connect("a")
    assert not limits.connect("a")
    limits.disconnect("a")
    assert limits.connect("a")


def test_requests_at_work_are_bounded() -> None:
    limits = Limits(calls_per_second=0, airdrops_per_minute=0, connections=1, in_flight=2)
    limits.begin()
    limits.begin()
    with pytest.raises(Overloaded):
        limits.begin()
    limits.end()
    limits.begin()
    assert limits.at_work == 2


def test_the_last_good_answers_are_bounded() -> None:
    kept = AnswerCache(2)
    for number in range(3):
        kept.remember("getBalance", [number], str(number).encode())
    assert kept.recall("getBalance", [0]) is None
    assert kept.recall("getBalance", [2]) == b"2"
    assert kept.recall("getAccountInfo", [2]) is None
