"""Modes, outages and overload: what a client sees, and that nothing is invented."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from recovery.breaker import CircuitBreaker, CircuitBreakerConfig
from recovery.connections import connect
from recovery.degradation import DegradationManager
from rpc.collaborators import is_outage
from tests.support.ledgers import SOL
from tests.support.redis_servers import MakeRedis
from tests.support.rpc.node import MakeNode, Node, base64_of

_SKIP = {"encoding": "base64", "skipPreflight": True}
_PROCESSED = {"commitment": "processed"}


def _request(method: str, *params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def _code(node: Node, method: str, *params: Any) -> int | None:
    """The error's code, None for a result."""
    error = node.ask(method, *params).get("error")
    return None if error is None else int(error["code"])


@pytest.mark.parametrize(
    ("mode", "codes", "status"),
    [
        ("NORMAL", (None, None, None), 200),
        ("READ_ONLY", (-32005, None, None), 200),
        ("ESSENTIAL_ONLY", (-32005, -32005, None), 200),
        ("OFFLINE", (-32005, -32005, -32005), 503),
    ],
)
def test_each_mode_allows_what_it_says(
    make_node: MakeNode, mode: str, codes: tuple[int | None, int | None, int | None], status: int
) -> None:
    sends, reads, essential = codes
    modes = DegradationManager()
    node = make_node(gate=modes)
    transaction = base64_of(node.transfer(node.world.faucet, Keypair().pubkey(), 1))
    modes.set_component_mode("rpc", mode, reason="test", actor="test")
    assert _code(node, "sendTransaction", transaction, _SKIP) == sends
    assert _code(node, "getBalance", str(Keypair().pubkey())) == reads
    assert [_code(node, name) for name in ("getHealth", "getVersion", "getSlot")] == [essential] * 3
    reply = node.post(_request("getVersion"))
    assert reply.status == status
    assert (reply.retry_after is not None) == (status == 503)


def test_a_closed_intake_refuses_sends_alone(make_node: MakeNode) -> None:
    modes = DegradationManager()
    node = make_node(gate=modes)
    modes.set_component_mode("intake", "READ_ONLY", reason="test", actor="test")
    transaction = base64_of(node.transfer(node.world.faucet, Keypair().pubkey(), 1))
    assert _code(node, "sendTransaction", transaction, _SKIP) == -32005
    assert _code(node, "getSlot") is None


class _Outage:
    """A node on a Redis of its own that can be killed."""

    def __init__(self, make_redis: MakeRedis, folder: Path, **options: Any) -> None:
        self.redis = make_redis()
        (folder / "node").mkdir()
        breaker = CircuitBreaker(
            "rpc", CircuitBreakerConfig(failure_threshold=5, timeout=1.0, success_threshold=1), failure=is_outage
        )
        self.node = Node(connect(self.redis.url), self.redis.url, folder / "node", breaker=breaker, **options)


def test_reads_are_stale_and_writes_refused_at_once_while_redis_is_away(make_redis: MakeRedis, tmp_path: Path) -> None:
    outage = _Outage(make_redis, tmp_path)
    node = outage.node
    target = Keypair().pubkey()
    node.pay(target, SOL)
    before = node.ask("getBalance", str(target), _PROCESSED)
    transaction = base64_of(node.transfer(node.world.faucet, target, 1))
    outage.redis.kill()

    for _ in range(8):  # before and after the breaker has opened
        began = time.monotonic()
        error = node.error("sendTransaction", transaction, _SKIP)
        assert time.monotonic() - began < 1.0
        assert error["code"] == -32005
        reply = node.post(_request("getBalance", str(target), _PROCESSED))
        assert reply.stale
        assert reply.body is not None
        assert json.loads(reply.body) == before
    # What was never asked is not invented.
    assert node.error("getBalance", str(Keypair().pubkey()), _PROCESSED)["code"] == -32005

    outage.redis.restart()
    back = time.monotonic()
    while node.post(_request("getBalance", str(target), _PROCESSED)).stale:
        assert time.monotonic() - back < 5.0
        time.sleep(0.05)
    node.call("sendTransaction", transaction, _SKIP)
    assert node.drain() == 1
    node.close()


def test_calls_beyond_an_address_rate_are_told_to_slow_down(make_node: MakeNode) -> None:
    node = make_node(rpc_rate_limit=3)
    replies = [node.post(_request("getVersion")) for _ in range(6)]
    assert [reply.status for reply in replies[:3]] == [200] * 3
    assert replies[-1].status == 429
    assert replies[-1].retry_after is not None
    assert replies[-1].body is not None
    assert json.loads(replies[-1].body)["error"]["code"] == -32005


def test_batches_are_bounded(make_node: MakeNode) -> None:
    node = make_node(rpc_batch_limit=2)
    call = {"jsonrpc": "2.0", "id": 1, "method": "getVersion"}
    reply = node.post(json.dumps([call] * 3).encode())
    assert reply.body is not None
    assert json.loads(reply.body)["error"]["code"] == -32600
    assert node.post(b"[]").body is not None


def test_a_ledger_that_is_being_restored_is_not_served(node: Node) -> None:
    target = Keypair().pubkey()
    node.pay(target, SOL)
    node.seal()
    before = node.ask("getBalance", str(target))
    client, keys = node.world.ledger.client, node.world.ledger.keys
    client.hset(keys.meta, "epoch", "restoring")
    reply = node.post(_request("getBalance", str(target)))
    assert reply.stale
    assert reply.body is not None
    assert json.loads(reply.body) == before
    assert node.error("getBalance", str(Keypair().pubkey()))["code"] == -32005
    client.hset(keys.meta, "epoch", "1")
    assert not node.post(_request("getBalance", str(target))).stale


def test_a_redis_that_lost_what_was_final_is_not_served(node: Node) -> None:
    node.seal(3)
    assert node.call("getSlot") == 3
    state = node.world.ledger.epoch_keys.state
    node.world.ledger.client.hset(state, "finalized", "1")
    assert node.post(_request("getSlot")).stale
    assert node.error("getBalance", str(Keypair().pubkey()))["code"] == -32005
    # Under a new epoch a restored ledger may be anywhere.
    node.world.ledger.client.hset(state, "finalized", "3")
    assert not node.post(_request("getSlot")).stale
