"""Over RPC: sysvars are what programs see, and durable nonces pass preflight and survive their blockhash."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    CreateAccountParams,
    InitializeNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    create_account,
    initialize_nonce_account,
    transfer,
)

from banking.execution.sysvars import sysvar_data
from banking.ledger.ledger import MAX_BLOCKHASH_AGE
from banking.ledger.records import unpack_account
from banking.ledger.slot_context import SlotContext
from tests.support.ledgers import SOL, sign
from tests.support.rpc.node import Node, base64_of, signature_of

_PROCESSED = {"commitment": "processed", "encoding": "base64"}


@pytest.mark.parametrize(
    "key",
    [
        "SysvarC1ock11111111111111111111111111111111",
        "SysvarS1otHashes111111111111111111111111111",
        "SysvarS1otHistory11111111111111111111111111",
        "SysvarRecentB1ockHashes11111111111111111111",
    ],
)
def test_sysvar_is_what_programs_see(node: Node, key: str) -> None:
    node.seal(4)
    node.world.stage.simulate(node.world.transfer(node.world.faucet, Keypair().pubkey(), SOL))
    context: SlotContext = node.world.stage._executor._vm.context
    shown = node.call("getAccountInfo", key, _PROCESSED)["value"]
    assert base64.b64decode(shown["data"][0]) == sysvar_data(bytes(Pubkey.from_string(key)), context)
    assert (shown["lamports"], shown["owner"]) == (1, "Sysvar1111111111111111111111111111111111111")


def test_nonce_transaction_is_simulated_and_sent_after_its_blockhash_has_expired(node: Node) -> None:
    payer, account, target = node.world.faucet, Keypair(), Keypair().pubkey()
    key = account.pubkey()
    params = CreateAccountParams(
        from_pubkey=payer.pubkey(), to_pubkey=key, lamports=SOL, space=80, owner=Pubkey.default()
    )
    begun = InitializeNonceAccountParams(nonce_pubkey=key, authority=payer.pubkey())
    node.commit(sign([create_account(params), initialize_nonce_account(begun)], [payer, account], node.blockhash()))
    value = Hash.from_bytes(unpack_account(node.world.ledger.account(bytes(key))).data[40:72])
    node.seal(MAX_BLOCKHASH_AGE + 1)
    instructions = [
        advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=key, authorized_pubkey=payer.pubkey())),
        transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=target, lamports=SOL)),
    ]
    nonced = sign(instructions, [payer], value)
    raw = base64_of(nonced)
    # The fee of what it makes valid is known; the value itself is no recent blockhash.
    assert node.call("getFeeForMessage", base64.b64encode(bytes(nonced.message)).decode())["value"] == 5000
    assert node.call("isBlockhashValid", str(value))["value"] is False
    shown = node.call("getAccountInfo", str(key), {"encoding": "jsonParsed"})["value"]["data"]["parsed"]
    assert (shown["type"], shown["info"]["blockhash"]) == ("initialized", str(value))
    options: dict[str, Any] = {"encoding": "base64"}
    assert node.call("simulateTransaction", raw, options | {"sigVerify": True})["value"]["err"] is None
    node.call("sendTransaction", raw, options | {"preflightCommitment": "processed"})
    node.drain()
    assert node.world.balance(target) == SOL
    used = base64.b64encode(bytes(nonced.message)).decode()
    assert node.call("getFeeForMessage", used, {"commitment": "processed"})["value"] is None
    stale = base64_of(sign([*instructions[:1], *instructions[1:] * 2], [payer], value))
    assert "Blockhash not found" in node.error("sendTransaction", stale, options)["message"]


def test_reserved_key_is_shown_as_read_only(node: Node) -> None:
    rent = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
    transaction = node.pay(rent, SOL)
    node.seal()
    options = {"encoding": "jsonParsed", "maxSupportedTransactionVersion": 0, "commitment": "confirmed"}
    shown = node.call("getTransaction", signature_of(transaction), options)
    accounts = {one["pubkey"]: one["writable"] for one in shown["transaction"]["message"]["accountKeys"]}
    assert accounts == {str(node.world.faucet.pubkey()): True, str(rent): False, str(Pubkey.default()): False}
    assert shown["meta"]["err"] == {"InstructionError": [0, "ReadonlyLamportChange"]}


def test_sysvars_are_found_by_their_owner_and_parsed(node: Node) -> None:
    node.seal(4)
    owner = "Sysvar1111111111111111111111111111111111111"
    options = {"encoding": "jsonParsed", "commitment": "processed"}
    listed = node.call("getProgramAccounts", owner, options)
    parsed = {one["pubkey"]: one["account"]["data"]["parsed"] for one in listed}
    kinds = {one["type"] for one in parsed.values()}
    assert kinds >= {"clock", "epochSchedule", "recentBlockhashes", "rent", "slotHashes", "slotHistory", "stakeHistory"}
    assert kinds >= {"epochRewards", "fees", "lastRestartSlot"}
    blocks = {slot: node.call("getBlock", slot)["previousBlockhash"] for slot in (2, 3, 4)}
    hashes = {one["slot"]: one["hash"] for one in parsed["SysvarS1otHashes111111111111111111111111111"]["info"]}
    assert {slot: hashes[slot] for slot in blocks} == blocks
    recent = parsed["SysvarRecentB1ockHashes11111111111111111111"]["info"]
    assert [one["blockhash"] for one in recent[:3]] == [blocks[4], blocks[3], blocks[2]]
    assert recent[0]["feeCalculator"] == {"lamportsPerSignature": "5000"}
    history = parsed["SysvarS1otHistory11111111111111111111111111"]["info"]
    assert (history["nextSlot"], history["bits"][:7]) == (5, "1111100")
    rent = "SysvarRent111111111111111111111111111111111"
    filtered = node.call("getProgramAccounts", owner, options | {"filters": [{"dataSize": 17}]})
    assert [one["pubkey"] for one in filtered] == [rent]
    builtin = node.call("getProgramAccounts", "NativeLoader1111111111111111111111111111111", {"encoding": "base64"})
    assert "11111111111111111111111111111111" in {one["pubkey"] for one in builtin}
