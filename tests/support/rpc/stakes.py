"""Stake for tests, made by the real stake program."""

from __future__ import annotations

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from tests.support.ledgers import SOL, sign
from tests.support.rpc.node import Node
from tests.support.rpc.programs import call

_STAKE = Pubkey.from_string("Stake11111111111111111111111111111111111111")
#: Lamports that keep a stake account free of rent.
RESERVE = 2_282_880


def delegated_stake(node: Node, stake: Keypair, voter: Pubkey) -> VersionedTransaction:
    """Create a stake account of 2 SOL and delegate it."""
    faucet = node.world.faucet
    owner = bytes(faucet.pubkey())
    params = CreateAccountParams(
        from_pubkey=faucet.pubkey(), to_pubkey=stake.pubkey(), lamports=RESERVE + 2 * SOL, space=200, owner=_STAKE
    )
    initialize = call(_STAKE, bytes(4) + owner * 2 + bytes(48), (stake.pubkey(), "w"))
    delegate = call(_STAKE, b"\2\0\0\0", (stake.pubkey(), "w"), (voter, ""), (faucet.pubkey(), "s"))
    return sign([create_account(params), initialize, delegate], [faucet, stake], node.blockhash())
