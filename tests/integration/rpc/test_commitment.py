"""Processed is what is committed; confirmed and finalized is what the archive holds."""

from __future__ import annotations

from typing import Any

from solders.keypair import Keypair
from solders.message import MessageV0
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.support.ledgers import SOL
from tests.support.rpc.node import MakeNode, Node, signature_of

_PROCESSED = {"commitment": "processed"}
_V0 = {"maxSupportedTransactionVersion": 0}


def _status(node: Node, signature: str) -> Any:
    return node.call("getSignatureStatuses", [signature])["value"][0]


def test_a_transaction_is_final_once_its_block_is_archived(node: Node) -> None:
    target = Keypair().pubkey()
    signature = signature_of(node.pay(target, SOL))
    assert _status(node, signature)["confirmationStatus"] == "processed"
    assert node.call("getTransaction", signature, _V0) is None
    assert node.call("getSignaturesForAddress", str(target)) == []
    node.seal()
    assert _status(node, signature)["confirmationStatus"] == "finalized"
    found = node.call("getTransaction", signature, _V0)
    assert (found["slot"], found["meta"]["fee"], found["version"]) == (1, 5000, "legacy")
    assert [one["signature"] for one in node.call("getSignaturesForAddress", str(target))] == [signature]


def test_a_finalized_read_waits_for_the_change_to_be_final(make_node: MakeNode) -> None:
    node = make_node(rpc_commitment_wait=0.2)
    target = str(Keypair().pubkey())
    transaction = node.pay(Keypair.from_seed(bytes(32)).pubkey(), SOL)
    changed = str(transaction.parsed.message.account_keys[1])
    assert node.call("getBalance", changed, _PROCESSED)["value"] == SOL
    # Sealing stalls: better no answer than one that may be taken back.
    error = node.error("getBalance", changed)
    assert (error["code"], error["data"]["numSlotsBehind"]) == (-32005, 1)
    assert node.call("getBalance", target)["value"] == 0
    node.seal()
    found = node.call("getBalance", changed)
    assert (found["value"], found["context"]["slot"]) == (SOL, 1)


def test_slots_by_commitment(node: Node) -> None:
    node.seal(3)
    assert node.call("getSlot") == 3
    assert node.call("getSlot", {"commitment": "confirmed"}) == 3
    assert node.call("getSlot", _PROCESSED) == 4
    assert node.error("getSlot", {"commitment": "rooted"})["code"] == -32602
    assert node.call("getBlocks", 1) == [1, 2, 3]
    assert node.error("getBlock", 4)["code"] == -32004


def test_the_finalized_blockhash_changes_without_traffic(node: Node) -> None:
    before = node.call("getLatestBlockhash")["value"]["blockhash"]
    node.seal()
    after = node.call("getLatestBlockhash")["value"]["blockhash"]
    assert before != after
    assert node.call("isBlockhashValid", before)["value"] is True


def test_blocks_are_chained_and_the_same_from_redis_and_from_the_archive(node: Node) -> None:
    target = Keypair().pubkey()
    for _ in range(3):
        node.pay(target, SOL)
        node.seal()
    recent = [node.call("getBlock", slot, _V0) for slot in (1, 2, 3)]
    assert [block["previousBlockhash"] for block in recent[1:]] == [block["blockhash"] for block in recent[:-1]]
    signature = recent[0]["transactions"][0]["transaction"]["signatures"][0]
    before = node.call("getTransaction", signature, _V0)
    # What Redis forgets, the archive knows.
    keys = node.world.ledger.epoch_keys
    node.world.ledger.client.delete(keys.journal, keys.status)
    assert [node.call("getBlock", slot, _V0) for slot in (1, 2, 3)] == recent
    assert node.call("getTransaction", signature, _V0) == before
    searched = node.call("getSignatureStatuses", [signature], {"searchTransactionHistory": True})["value"][0]
    assert searched["confirmationStatus"] == "finalized"


def test_history_is_bounded_with_a_clear_answer(make_node: MakeNode) -> None:
    node = make_node(rpc_history=3)
    target = Keypair().pubkey()
    signatures = [signature_of(node.pay(target, SOL + number)) for number in range(5)]
    node.seal()
    listed = [one["signature"] for one in node.call("getSignaturesForAddress", str(target))]
    assert listed == signatures[:1:-1]
    for end in ("before", "until"):
        error = node.error("getSignaturesForAddress", str(target), {end: signatures[0]})
        assert (error["code"], error["message"]) == (-32020, f"Transaction {signatures[0]} not found")
    page = node.call("getSignaturesForAddress", str(target), {"before": signatures[4], "limit": 1})
    assert [one["signature"] for one in page] == [signatures[3]]
    until = node.call("getSignaturesForAddress", str(target), {"until": signatures[3]})
    assert [one["signature"] for one in until] == [signatures[4]]


def test_a_versioned_transaction_needs_a_client_that_knows_it(node: Node) -> None:
    faucet = node.world.faucet
    params = TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL)
    message = MessageV0.try_compile(faucet.pubkey(), [transfer(params)], [], node.blockhash())
    (transaction,) = node.commit(VersionedTransaction(message, [faucet]))
    node.seal()
    assert node.error("getTransaction", signature_of(transaction))["code"] == -32015
    assert node.error("getBlock", 1)["code"] == -32015
    assert node.call("getTransaction", signature_of(transaction), _V0)["version"] == 0


def test_health_says_when_sealing_is_late(make_node: MakeNode) -> None:
    class Nobody:
        def problem(self) -> str | None:
            return "no worker consumes transactions"

    node = make_node()
    assert node.call("getHealth") == "ok"
    node.rpc.context.ledger.chain.slot_since -= 60
    error = node.error("getHealth")
    assert error["code"] == -32005
    assert error["data"]["numSlotsBehind"] >= 100
    node.rpc.context.ledger.chain.slot_since += 60
    node.rpc.context.node.health = Nobody()
    assert "no worker consumes" in node.error("getHealth")["message"]
