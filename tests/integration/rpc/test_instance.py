"""A whole instance of real processes: from an airdrop to finality, through every mode, over a killed Redis."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair

from recovery.connections import connect
from recovery.degradation import DegradationManager
from rpc.http.post import STALE_HEADER
from tests.support.ledgers import SOL, transfer_transaction
from tests.support.rpc.served import Subscriber
from tests.support.rpc.stack import Stack, running_stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes
_STALE = STALE_HEADER.lower()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("instance") / "data") as running:
        yield running


def _post(stack: Stack, method: str, *params: Any) -> tuple[int, dict[str, str], Any]:
    """HTTP status, headers, JSON."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(stack.url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, _lower(answer.headers), json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, _lower(error.headers), json.loads(error.read())


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _airdrop(stack: Stack) -> Keypair:
    keypair = Keypair()
    signature = stack.call("requestAirdrop", str(keypair.pubkey()), SOL)["result"]
    wait_until(lambda: _status(stack, signature) == "finalized", "the airdrop is finalized")
    return keypair


def _status(stack: Stack, signature: str) -> str | None:
    value = stack.call("getSignatureStatuses", [signature])["result"]["value"][0]
    return None if value is None else value["confirmationStatus"]


def _signed(stack: Stack, source: Keypair, lamports: int) -> str:
    latest = stack.call("getLatestBlockhash")["result"]["value"]["blockhash"]
    transaction = transfer_transaction(source, Keypair().pubkey(), lamports, Hash.from_string(latest))
    return base64.b64encode(bytes(transaction)).decode()


def test_a_transfer_is_told_to_be_final_through_the_workers(stack: Stack) -> None:
    source = _airdrop(stack)
    with Subscriber(stack.ws_url) as on_own_port, Subscriber(stack.url.replace("http", "ws")) as on_http_port:
        text = _signed(stack, source, 10**7)
        signature = stack.call("sendTransaction", text, {"encoding": "base64"})["result"]
        for client in (on_own_port, on_http_port):
            client.call("signatureSubscribe", signature, {"commitment": "finalized"})
            assert client.notification(30)["result"]["value"] == {"err": None}
    with urllib.request.urlopen(f"{stack.url}/health", timeout=5) as answer:
        assert answer.read() == b"ok"


def test_modes_set_anywhere_rule_the_server(stack: Stack) -> None:
    source = _airdrop(stack)
    text, key = _signed(stack, source, 10**7), str(source.pubkey())
    # Until a mode is known a send may still get through; without preflight it may be sent again.
    config = {"encoding": "base64", "skipPreflight": True}
    with connect(stack.redis.url) as client:
        modes = DegradationManager(client, namespace="tl:{main}:modes")
        expected = [("READ_ONLY", 200, True), ("ESSENTIAL_ONLY", 200, False), ("OFFLINE", 503, False)]
        for mode, status, readable in expected:
            modes.set_component_mode("rpc", mode, reason="test", actor="test")
            wait_until(
                lambda status=status, readable=readable: (  # type: ignore[misc]
                    _post(stack, "getVersion")[0] == status
                    and ("result" in _post(stack, "getBalance", key)[2]) == readable
                    and _post(stack, "sendTransaction", text, config)[2].get("error", {}).get("code") == -32005
                ),
                mode,
                timeout=5,
            )
        assert int(_post(stack, "getVersion")[1]["retry-after"]) >= 1
        modes.clear("rpc", actor="test")
    wait_until(lambda: "result" in _post(stack, "sendTransaction", text, config)[2], "sends are accepted again")


def test_a_killed_redis_under_load_gives_no_wrong_answer_and_is_over_in_seconds(stack: Stack) -> None:
    source = _airdrop(stack)
    key = str(source.pubkey())
    balance = stack.call("getBalance", key)["result"]["value"]
    config = {"encoding": "base64", "skipPreflight": True}
    text = _signed(stack, source, 10**7)
    # A send whose answer came too late may have been accepted all the same.
    possible = (balance, balance - 10**7 - 5000)
    wrong: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            status, headers, answer = _post(stack, "getBalance", key)
            stale = headers.get(_STALE) == "true"
            value = answer.get("result", {}).get("value")
            right = value in possible or answer.get("error", {}).get("code") == -32005
            if status != 200 or not right or (stale and "result" not in answer):
                wrong.append((status, answer))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    stack.redis.kill()
    for _ in range(3):
        began = time.monotonic()
        assert _post(stack, "sendTransaction", text, config)[2]["error"]["code"] == -32005
        assert time.monotonic() - began < 1.0
    wait_until(lambda: _post(stack, "getBalance", key)[1].get(_STALE) == "true", "a stale answer", timeout=5)
    stack.redis.launch()
    stack.redis.wait_ready()
    back = time.monotonic()
    wait_until(lambda: _STALE not in _post(stack, "getBalance", key)[1], "fresh answers", timeout=15)
    signature = ""

    def sent() -> bool:
        nonlocal signature
        answer = _post(stack, "sendTransaction", text, config)[2]
        signature = answer.get("result", "")
        return bool(signature)

    wait_until(sent, "a send", timeout=15)
    recovered = time.monotonic() - back
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert recovered < 5.0
    wait_until(lambda: _status(stack, signature) == "finalized", "the workers are back", timeout=60)


def test_bodies_beyond_the_limit_and_foreign_paths_are_refused(stack: Stack) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(stack.url, b"[" + b"1," * 200_000 + b"1]", headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 413
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{stack.url}/other", timeout=10)
    assert caught.value.code == 404


def test_the_log_of_the_server_tells_no_bug(stack: Stack, tmp_path: Path) -> None:
    assert "Traceback" not in stack.log_tail("rpc")
