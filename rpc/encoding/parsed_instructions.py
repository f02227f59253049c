"""Instructions as JSON, for the programs that Solana's RPC knows how to read. Source: Agave's `parse_*`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rpc.encoding.instruction import Instruction, Unparsable
from rpc.encoding.memo import MEMO_V1, MEMO_V3
from rpc.encoding.parse_associated import parse_associated
from rpc.encoding.parse_loaders import parse_loader_call, parse_upgradeable_call
from rpc.encoding.parse_lookup_table import parse_lookup_table
from rpc.encoding.parse_stake import parse_stake_call
from rpc.encoding.parse_system import parse_system
from rpc.encoding.parse_token import parse_token
from rpc.encoding.parse_vote import parse_vote_call
from rpc.encoding.token_layout import TOKEN_2022_PROGRAM, TOKEN_PROGRAM

__all__ = ["Instruction", "parse_instruction"]


def parse_instruction(instruction: Instruction) -> dict[str, Any] | None:
    """`{"program", "parsed"}`, or None when the program or the instruction is not known."""
    named = _PARSERS.get(instruction.program)
    if named is None:
        return None
    program, parse = named
    try:
        return {"program": program, "parsed": parse(instruction)}
    except Unparsable:
        return None


def _parse_memo(instruction: Instruction) -> str:
    try:
        return instruction.data.decode()
    except UnicodeDecodeError:
        raise Unparsable from None


#: The program, Agave's name for it, and the reader of its instructions. To know another program, add a line.
_PARSERS: dict[str, tuple[str, Callable[[Instruction], Any]]] = {
    "11111111111111111111111111111111": ("system", parse_system),
    str(TOKEN_PROGRAM): ("spl-token", parse_token),
    str(TOKEN_2022_PROGRAM): ("spl-token-2022", parse_token),
    "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL": ("spl-associated-token-account", parse_associated),
    "AddressLookupTab1e1111111111111111111111111": ("address-lookup-table", parse_lookup_table),
    "BPFLoader2111111111111111111111111111111111": ("bpf-loader", parse_loader_call),
    "BPFLoaderUpgradeab1e11111111111111111111111": ("bpf-upgradeable-loader", parse_upgradeable_call),
    "Stake11111111111111111111111111111111111111": ("stake", parse_stake_call),
    "Vote111111111111111111111111111111111111111": ("vote", parse_vote_call),
    str(MEMO_V1): ("spl-memo", _parse_memo),
    str(MEMO_V3): ("spl-memo", _parse_memo),
}
