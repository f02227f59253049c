"""Accounts as JSON, for the programs that Solana's RPC knows how to read. Source: Agave's `account-decoder`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from solders.pubkey import Pubkey

from banking.ledger.records import AccountView
from rpc.encoding.account_parsers.config import parse_config
from rpc.encoding.account_parsers.loader import parse_loader
from rpc.encoding.account_parsers.lookup_table import parse_lookup_table
from rpc.encoding.account_parsers.nonce import parse_nonce
from rpc.encoding.account_parsers.stake import parse_stake
from rpc.encoding.account_parsers.sysvar import parse_sysvar
from rpc.encoding.account_parsers.token import parse_token_record
from rpc.encoding.account_parsers.vote import parse_vote
from rpc.encoding.instruction import Unparsable
from rpc.encoding.token_layout import TOKEN_PROGRAMS

Parse = Callable[[bytes, bytes], dict[str, Any]]

#: Owner of an account, Agave's name for it, the reader of its address and data. To know another program, add a line.
PROGRAMS: tuple[tuple[str, str, Parse], ...] = (
    ("11111111111111111111111111111111", "nonce", parse_nonce),
    ("AddressLookupTab1e1111111111111111111111111", "address-lookup-table", parse_lookup_table),
    ("BPFLoaderUpgradeab1e11111111111111111111111", "bpf-upgradeable-loader", parse_loader),
    ("Config1111111111111111111111111111111111111", "config", parse_config),
    ("Stake11111111111111111111111111111111111111", "stake", parse_stake),
    ("Sysvar1111111111111111111111111111111111111", "sysvar", parse_sysvar),
    ("Vote111111111111111111111111111111111111111", "vote", parse_vote),
)
_BY_OWNER = {bytes(Pubkey.from_string(owner)): (name, parse) for owner, name, parse in PROGRAMS}


def parse_account(key: bytes, record: bytes, view: AccountView, decimals: Mapping[bytes, int]) -> dict[str, Any] | None:
    """`{"program", "parsed", "space"}`, or None when the account is not of a known kind."""
    try:
        if (program := TOKEN_PROGRAMS.get(view.owner)) is not None:
            parsed = parse_token_record(record, view.data, decimals)
        elif (known := _BY_OWNER.get(view.owner)) is not None:
            program, parse = known
            parsed = parse(key, view.data)
        else:
            return None
    except Unparsable:
        return None
    return {"program": program, "parsed": parsed, "space": len(view.data)}
