"""What was not final is lost with Redis: no answer calls it final afterwards. Found by the storm (`make chaos`)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from solders.keypair import Keypair
from solders.signature import Signature

from banking.restore.ledger_recovery import LedgerRecovery
from tests.support.ledgers import SOL
from tests.support.rpc.node import MakeNode, Node, signature_of
from tests.support.waiting import wait_until

_SEARCH = {"searchTransactionHistory": True}
_V0 = {"maxSupportedTransactionVersion": 0}


def lose_redis(node: Node) -> None:
    """Every key is gone; a worker restores the ledger, whose slots soon are beyond those that were lost."""
    world = node.world
    world.ledger.client.flushall()
    world.ledger.forget_epoch()
    LedgerRecovery(world.ledger, world.blocks).ensure_consistent()
    node.seal(3)


def pay_and_index(node: Node) -> str:
    """A processed transfer that the index of addresses knows, until it is built anew."""
    signature = signature_of(node.pay(Keypair().pubkey(), SOL))

    async def is_known() -> bool:
        await asyncio.sleep(0.01)
        return node.rpc.context.indexes.history.find(bytes(Signature.from_string(signature))) is not None

    wait_until(lambda: node.run(is_known()), "the index has it")
    return signature


def test_a_transaction_lost_with_redis_has_no_status(node: Node) -> None:
    lost = pay_and_index(node)
    lose_redis(node)
    assert node.call("getSignatureStatuses", [lost], _SEARCH)["value"] == [None]
    assert node.call("getTransaction", lost, _V0) is None


def test_a_transaction_lost_with_the_tail_is_not_the_one_that_has_its_place(node: Node) -> None:
    """Redis comes back as it was a second ago, and hands out slot and sequence number again."""
    client = node.world.ledger.client
    kept = {key: client.dump(key) or b"" for key in client.scan_iter("*")}
    lost = pay_and_index(node)
    client.flushall()
    for key, value in kept.items():
        client.restore(key, 0, value)
    node.pay(Keypair().pubkey(), SOL)
    node.seal()
    assert node.call("getTransaction", lost, _V0) is None
    assert node.call("getSignatureStatuses", [lost], _SEARCH)["value"] == [None]


def test_a_balance_that_waits_to_be_final_is_not_final_when_it_is_lost(make_node: MakeNode) -> None:
    """The slot that it was read in becomes final without it, under the next epoch."""
    node = make_node(rpc_commitment_wait=20.0)
    target = str(node.pay(Keypair().pubkey(), SOL).parsed.message.account_keys[1])
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getBalance", "params": [target]}).encode()

    async def ask_and_lose() -> Any:
        asking = asyncio.ensure_future(node.rpc.dispatcher.answer(body, "test"))
        while not node.rpc.context.ledger.chain.waits:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(lose_redis, node)
        return await asking

    reply = node.run(ask_and_lose())
    answer = json.loads(reply.body)
    reply.close()
    assert answer.get("result", {}).get("value", 0) == 0
    assert answer["error"]["code"] == -32005
