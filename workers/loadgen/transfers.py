"""Signed transfers for the command line and the load generator."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

_MIN_UNITS, _MAX_UNITS = 10_000, 1_400_000
#: So many fit into one packet: 49 bytes each, beside signature, payer, blockhash and program.
MAX_TRANSFERS = 20


def unique_transfer(source: Keypair, target: Pubkey, lamports: int, blockhash: bytes) -> bytes:
    """A signed transfer that differs from an equal one sent with the same blockhash.

    Two equal transfers would be one transaction, and the second of them a duplicate without effect. The limit of
    compute units, of which a transfer needs 300, is where they differ.
    """
    limit = _MIN_UNITS + secrets.randbelow(_MAX_UNITS - _MIN_UNITS)
    return signed([set_compute_unit_limit(limit), _transfer(source.pubkey(), target, lamports)], source, blockhash)


def fan_out(source: Keypair, targets: Sequence[Pubkey], lamports: int, blockhash: bytes) -> bytes:
    """One signed transaction that transfers `lamports` to each of up to 20 targets."""
    return signed([_transfer(source.pubkey(), target, lamports) for target in targets], source, blockhash)


def plain_transfer(source: Keypair, target: Pubkey, lamports: int, blockhash: bytes) -> bytes:
    """A signed transfer and nothing else."""
    return signed([_transfer(source.pubkey(), target, lamports)], source, blockhash)


def signed(instructions: Sequence[Instruction], payer: Keypair, blockhash: bytes) -> bytes:
    """The bytes of a legacy transaction signed by its payer alone."""
    recent = Hash.from_bytes(blockhash)
    message = Message.new_with_blockhash(list(instructions), payer.pubkey(), recent)
    return bytes(Transaction([payer], message, recent))


def _transfer(source: Pubkey, target: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=source, to_pubkey=target, lamports=lamports))
