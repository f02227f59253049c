"""Fees where the VM takes none: Solana's numbers, to the lamport."""

from __future__ import annotations

import pytest
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from banking.execution.fees import can_pay, charged, fee_of
from banking.ledger.records import HEADER_SIZE, lamports_of

PAYER = Pubkey.new_unique()
PAY = transfer(TransferParams(from_pubkey=PAYER, to_pubkey=Pubkey.new_unique(), lamports=1))
ED25519 = Pubkey.from_string("Ed25519SigVerify111111111111111111111111111")
EXEMPT = 890_880


def fee(*instructions: Instruction) -> int:
    return fee_of(Message.new_with_blockhash(list(instructions), PAYER, Hash.default()))


def test_signatures_cost_5000_each_those_of_the_precompiles_too() -> None:
    assert fee(PAY) == 5_000
    assert fee(PAY, Instruction(ED25519, b"\x02\x00", [])) == 15_000


def test_priority_is_price_times_limit_rounded_up() -> None:
    assert fee(PAY, set_compute_unit_limit(1), set_compute_unit_price(1)) == 5_001
    assert fee(PAY, set_compute_unit_limit(300), set_compute_unit_price(10_000)) == 5_003
    # Without a limit 200,000 units for each instruction that is not of the compute budget.
    assert fee(PAY, PAY, set_compute_unit_price(1_000_000)) == 5_000 + 400_000
    assert fee(PAY, set_compute_unit_limit(2**32 - 1), set_compute_unit_price(1_000_000)) == 5_000 + 1_400_000


def account(lamports: int, *, data: bytes = b"", owner: bytes = bytes(32)) -> bytes:
    header = lamports.to_bytes(8, "little") + bytes(HEADER_SIZE - 8 - 32) + owner
    return header + data


@pytest.mark.parametrize(
    ("record", "may"),
    [
        (account(5_000), True),
        (account(EXEMPT + 5_000), True),
        (account(EXEMPT + 4_999), False),  # it would fall below the exemption
        (account(6_000), True),  # it was below before
        (account(4_999), False),
        (account(EXEMPT * 2, data=b"x"), False),
        (account(EXEMPT * 2, owner=b"\x01" * 32), False),
        (b"", False),
    ],
)
def test_who_may_pay(record: bytes, may: bool) -> None:
    assert can_pay(record, 5_000) is may


def test_a_payer_with_nothing_left_is_gone() -> None:
    assert charged(account(5_000), 5_000) == b""
    assert lamports_of(charged(account(7_000), 5_000)) == 2_000
