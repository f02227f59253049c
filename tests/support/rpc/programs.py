"""Transactions of the programs that come with the VM, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.transaction import VersionedTransaction

from rpc.encoding.token_layout import TOKEN_PROGRAM
from tests.support.ledgers import sign
from tests.support.rpc.node import Node

_LOOKUP_TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
_ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")


def call(program: Pubkey, data: bytes, *accounts: tuple[Pubkey, str]) -> Instruction:
    """An instruction; beside each account stands what it is: `w` writable, `s` signer, both, or nothing."""
    metas = [AccountMeta(key, is_signer="s" in how, is_writable="w" in how) for key, how in accounts]
    return Instruction(program, data, metas)


def make_lookup_table(node: Node, addresses: Sequence[Pubkey]) -> Pubkey:
    """Make a table that holds `addresses`, usable from the slot that is then open."""
    faucet = node.world.faucet
    node.seal()
    slot = node.call("getSlot", {"commitment": "processed"}) - 1
    seeds = [bytes(faucet.pubkey()), slot.to_bytes(8, "little")]
    table, bump = Pubkey.find_program_address(seeds, _LOOKUP_TABLES)
    accounts = (table, "w"), (faucet.pubkey(), "s"), (faucet.pubkey(), "ws"), (SYSTEM_PROGRAM, "")
    create = call(_LOOKUP_TABLES, bytes(4) + slot.to_bytes(8, "little") + bytes([bump]), *accounts)
    listed = len(addresses).to_bytes(8, "little") + b"".join(map(bytes, addresses))
    extend = call(_LOOKUP_TABLES, b"\x02\0\0\0" + listed, *accounts)
    node.commit(sign([create, extend], [faucet], node.blockhash()))
    node.seal()
    return table


def associated_account(node: Node, owner: Keypair, mint: Pubkey) -> VersionedTransaction:
    """The transaction that makes `owner`'s associated token account."""
    key = owner.pubkey()
    seeds = [bytes(key), bytes(TOKEN_PROGRAM), bytes(mint)]
    account, _ = Pubkey.find_program_address(seeds, _ASSOCIATED)
    accounts = (key, "ws"), (account, "w"), (key, ""), (mint, ""), (SYSTEM_PROGRAM, ""), (TOKEN_PROGRAM, "")
    return sign([call(_ASSOCIATED, b"\x01", *accounts)], [owner], node.blockhash())
