"""Instructions of the system program. Source: `solana_system_interface::instruction`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rpc.encoding.instruction import DataReader, Instruction, Unparsable

Parsed = dict[str, Any]


def parse_system(instruction: Instruction) -> Parsed:
    """Raises Unparsable."""
    reader = DataReader(instruction.data)
    parse = _KINDS.get(reader.u32())
    if parse is None:
        raise Unparsable
    name, info = parse(instruction, reader)
    return {"type": name, "info": info}


def _create(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "createAccount", {
        "source": instruction.account(0),
        "newAccount": instruction.account(1),
        "lamports": data.u64(),
        "space": data.u64(),
        "owner": data.key(),
    }


def _assign(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "assign", {"account": instruction.account(0), "owner": data.key()}


def _transfer(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "transfer", {"source": instruction.account(0), "destination": instruction.account(1), "lamports": data.u64()}


def _create_with_seed(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "createAccountWithSeed", {
        "source": instruction.account(0),
        "newAccount": instruction.account(1),
        "base": data.key(),
        "seed": data.text(),
        "lamports": data.u64(),
        "space": data.u64(),
        "owner": data.key(),
    }


def _advance_nonce(instruction: Instruction, _: DataReader) -> tuple[str, Parsed]:
    return "advanceNonce", {
        "nonceAccount": instruction.account(0),
        "recentBlockhashesSysvar": instruction.account(1),
        "nonceAuthority": instruction.account(2),
    }


def _withdraw_nonce(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "withdrawFromNonce", {
        "nonceAccount": instruction.account(0),
        "destination": instruction.account(1),
        "recentBlockhashesSysvar": instruction.account(2),
        "rentSysvar": instruction.account(3),
        "nonceAuthority": instruction.account(4),
        "lamports": data.u64(),
    }


def _initialize_nonce(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "initializeNonce", {
        "nonceAccount": instruction.account(0),
        "recentBlockhashesSysvar": instruction.account(1),
        "rentSysvar": instruction.account(2),
        "nonceAuthority": data.key(),
    }


def _authorize_nonce(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "authorizeNonce", {
        "nonceAccount": instruction.account(0),
        "nonceAuthority": instruction.account(1),
        "newAuthorized": data.key(),
    }


def _allocate(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "allocate", {"account": instruction.account(0), "space": data.u64()}


def _allocate_with_seed(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "allocateWithSeed", {
        "account": instruction.account(0),
        "base": data.key(),
        "seed": data.text(),
        "space": data.u64(),
        "owner": data.key(),
    }


def _assign_with_seed(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "assignWithSeed", {
        "account": instruction.account(0),
        "base": data.key(),
        "seed": data.text(),
        "owner": data.key(),
    }


def _transfer_with_seed(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "transferWithSeed", {
        "source": instruction.account(0),
        "sourceBase": instruction.account(1),
        "destination": instruction.account(2),
        "lamports": data.u64(),
        "sourceSeed": data.text(),
        "sourceOwner": data.key(),
    }


def _upgrade_nonce(instruction: Instruction, _: DataReader) -> tuple[str, Parsed]:
    return "upgradeNonce", {"nonceAccount": instruction.account(0)}


_KINDS: dict[int, Callable[[Instruction, DataReader], tuple[str, Parsed]]] = {
    0: _create,
    1: _assign,
    2: _transfer,
    3: _create_with_seed,
    4: _advance_nonce,
    5: _withdraw_nonce,
    6: _initialize_nonce,
    7: _authorize_nonce,
    8: _allocate,
    9: _allocate_with_seed,
    10: _assign_with_seed,
    11: _transfer_with_seed,
    12: _upgrade_nonce,
}
