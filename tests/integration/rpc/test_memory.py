"""What requests may cost a server: measured by the memory of a real process, not by counting."""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from solders.account import Account
from solders.pubkey import Pubkey

from banking.ledger.records import pack_account
from tests.support.ledgers import World, new_world
from tests.support.ports import free_port
from tests.support.rpc.served import Subscriber
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

MIB = 1024 * 1024
#: The account of the report: 616 KB.
LARGE = 616 * 1024
OWNER = Pubkey.from_bytes(b"memory-test-owner".ljust(32, b"!"))


@dataclass
class Server:
    """The server, once `start` was called; its index knows the accounts that were put before."""

    world: World
    environment: dict[str, str]
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.port = free_port()
        environment = self.environment | {"TRUNKLINE_RPC_PORT": str(self.port), "TRUNKLINE_RPC_WS_PORT": "0"}
        self.process = subprocess.Popen([sys.executable, "-m", "rpc"], env=environment)
        wait_until(self._answers, "the server answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)

    def _answers(self) -> bool:
        try:
            return "result" in self.call("getVersion")
        except ConnectionError:
            return False

    def put(self, name: str, size: int) -> str:
        """An account of `size` bytes; its address."""
        key = Pubkey.from_bytes(name.encode().ljust(32, b"."))
        record = pack_account(Account(lamports=1, data=os.urandom(size), owner=OWNER))
        keys = self.world.ledger.epoch_keys
        self.world.ledger.client.hset(keys.accounts, bytes(key), record)
        self.world.ledger.client.hset(keys.versions, bytes(key), "1")
        return str(key)

    def post(self, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def call(self, method: str, *params: Any) -> Any:
        _, answer = self.post(json.dumps(call(method, *params)).encode())
        return json.loads(answer)

    @property
    def peak(self) -> int:
        """The most memory that the process has had, in bytes."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    def forget_peak(self) -> int:
        """Begin to measure anew; the memory it has now."""
        assert self.process is not None
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.peak


def call(method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.fixture
def server(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> Iterator[Server]:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the memory of another process can be measured on Linux only")
    made = Server(
        new_world(redis_client, "main"),
        os.environ | {"TRUNKLINE_REDIS_URL": redis_url, "TRUNKLINE_DATA_DIR": str(tmp_path)},
    )
    try:
        yield made
    finally:
        made.stop()


def test_a_batch_that_asks_for_gigabytes_is_cheap(server: Server) -> None:
    """The report: 49 KB asked for 783 MiB and took 2.8 GiB."""
    server.start()
    address = server.put("large", LARGE)
    batch = [call("getMultipleAccounts", [address] * 100, {"commitment": "processed"}) for _ in range(10)]
    body = json.dumps(batch).encode()
    assert 45_000 < len(body) < 50_000
    before = server.forget_peak()
    _, answer = server.post(body)
    assert server.peak - before < 200 * MIB
    answers = json.loads(answer)
    assert len(answers) == 10
    assert all("at most 67108864 bytes" in one["error"]["message"] for one in answers)

    # The same of as many different accounts, which nothing can be saved on.
    addresses = [server.put(f"large-{number}", LARGE) for number in range(100)]
    batch = [call("getMultipleAccounts", addresses[:60], {"commitment": "processed"}) for _ in range(10)]
    before = server.forget_peak()
    _, answer = server.post(json.dumps(batch).encode())
    assert server.peak - before < 250 * MIB
    # What fits is answered.
    assert sum("result" in one for one in json.loads(answer)) == 1


def test_many_who_ask_and_do_not_read_share_what_there_is(server: Server) -> None:
    server.start()
    address = server.put("large", LARGE)
    batch = [call("getMultipleAccounts", [address] * 7, {"commitment": "processed"}) for _ in range(10)]
    body = json.dumps(batch).encode()
    before = server.forget_peak()
    asked = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=60) for _ in range(16)]
    for connection in asked:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
    # The others are told to come again, and everybody else is served.
    statuses = [connection.getresponse().status for connection in asked]
    assert {200, 429} == set(statuses)
    assert server.call("getSlot")["result"] >= 0
    assert server.peak - before < 350 * MIB
    for connection in asked:
        connection.close()
    wait_until(lambda: server.post(body)[0] == 200, "those who left have given their room back")


def test_what_is_large_and_honest_is_answered(server: Server) -> None:
    server.start()
    size = 10 * MIB
    addresses = [server.put(f"ten-{number}", size) for number in range(4)]
    answer = server.call("getMultipleAccounts", addresses, {"commitment": "processed"})
    lengths = [len(base64.b64decode(value["data"][0])) for value in answer["result"]["value"]]
    assert lengths == [size] * 4
    with Subscriber(f"ws://127.0.0.1:{server.port}") as client:
        value = client.call("getAccountInfo", addresses[0], {"encoding": "base64", "commitment": "processed"})["value"]
        assert len(value["data"][0]) > size


def test_a_part_of_much_costs_little(server: Server) -> None:
    for number in range(100):
        server.put(f"sliced-{number}", LARGE)
    server.start()
    config = {"encoding": "base64", "commitment": "processed", "dataSlice": {"offset": 0, "length": 4}}
    wait_until(
        lambda: len(server.call("getProgramAccounts", str(OWNER), config)["result"]) == 100, "the index has them"
    )
    before = server.forget_peak()
    threads = [threading.Thread(target=server.call, args=("getProgramAccounts", str(OWNER), config)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.peak - before < 100 * MIB
