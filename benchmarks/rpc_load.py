"""The load on the RPC server, in a process of its own: `python -m benchmarks.rpc_load JSON` prints JSON."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from solders.hash import Hash
from solders.keypair import Keypair
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.harness import pay
from benchmarks.rpc_client import Pool

_decoder = msgspec.json.Decoder()


def request(method: str, *params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Milliseconds."""
    if not values:
        return {}
    ordered = sorted(values)
    return {f"p{p}_ms": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 2) for p in (50, 95, 99)}


async def reads(port: int, keys: list[str], *, connections: int, seconds: float) -> dict[str, float]:
    """getBalance as fast as `connections` ask, each waiting for its answer."""
    pool = await Pool.open(port, connections)
    bodies = [request("getBalance", key, {"commitment": "processed"}) for key in keys]
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def ask() -> None:
        while (began := time.perf_counter()) < end:
            answer = await pool.post(random.choice(bodies))
            taken.append(time.perf_counter() - began)
            assert b'"value":' in answer, answer

    await asyncio.gather(*(ask() for _ in range(connections)))
    pool.close()
    return {"requests_per_s": round(len(taken) / seconds), **percentiles(taken)}


class Watcher:
    """When each signature was told to be processed and finalized, by log subscriptions."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, float]] = {"processed": {}, "finalized": {}}

    async def watch(self, port: int, commitment: str, ready: asyncio.Event) -> None:
        async with connect(f"ws://127.0.0.1:{port}", max_queue=None, compression=None, max_size=None) as socket:
            await socket.send(request("logsSubscribe", "all", {"commitment": commitment}).decode())
            await socket.recv()
            ready.set()
            seen = self.seen[commitment]
            while True:
                message = _decoder.decode(await socket.recv())
                seen[message["params"]["result"]["value"]["signature"]] = time.perf_counter()


async def sends(port: int, secrets: list[str], *, rate: int, seconds: float, preflight: bool) -> dict[str, Any]:
    """Transfers at a fixed rate, whatever the answers take; latencies count from the moment each was due."""
    pool, watcher = await Pool.open(port, 128), Watcher()
    ready = [asyncio.Event(), asyncio.Event()]
    watching = [
        asyncio.create_task(watcher.watch(port, commitment, event))
        for commitment, event in zip(watcher.seen, ready, strict=True)
    ]
    await asyncio.gather(*(event.wait() for event in ready))
    transactions = await _signed(pool, secrets, int(rate * seconds))
    config = {"encoding": "base64", "skipPreflight": not preflight, "preflightCommitment": "processed"}
    due: dict[str, float] = {}
    answered: list[float] = []
    errors: list[bytes] = []

    async def send(signature: str, text: str, at: float) -> None:
        answer = await pool.post(request("sendTransaction", text, config))
        if b'"error"' in answer:
            errors.append(answer)
            due.pop(signature)
        else:
            answered.append(time.perf_counter() - at)

    start, tasks = time.perf_counter() + 0.1, []
    for number, (signature, text) in enumerate(transactions):
        at = start + number / rate
        if (wait := at - time.perf_counter()) > 0.001:
            await asyncio.sleep(wait)
        due[signature] = at
        tasks.append(asyncio.create_task(send(signature, text, at)))
    await asyncio.gather(*tasks)
    sent = time.perf_counter()
    finalized = watcher.seen["finalized"]
    while time.perf_counter() < sent + 30 and any(signature not in finalized for signature in due):
        await asyncio.sleep(0.05)
    for task in watching:
        task.cancel()
    pool.close()
    last = max((finalized[one] for one in due if one in finalized), default=sent)
    return {
        "rate": rate,
        "preflight": preflight,
        "errors": len(errors),
        "first_error": errors[0].decode()[:200] if errors else None,
        "lost": sum(signature not in finalized for signature in due),
        "finalized_per_s": round(len(due) / (last - start)),
        "accepted": percentiles(answered),
        **{
            name: percentiles([seen[one] - at for one, at in due.items() if one in seen])
            for name, seen in watcher.seen.items()
        },
    }


async def _signed(pool: Pool, secrets: list[str], count: int) -> list[tuple[str, str]]:
    latest = json.loads(await pool.post(request("getLatestBlockhash")))
    blockhash = Hash.from_string(latest["result"]["value"]["blockhash"])
    keypairs = [Keypair.from_base58_string(secret) for secret in secrets]
    made = []
    for number in range(count):
        source, target = random.sample(keypairs, 2)
        transaction = pay(source, target.pubkey(), number + 1, blockhash)
        made.append((str(transaction.signatures[0]), base64.b64encode(bytes(transaction)).decode()))
    return made


async def subscribers(port: int, secrets: list[str], *, count: int, changes: int) -> dict[str, Any]:
    """`count` websockets on one account: the time from a send until the last of them is told of the change."""
    pool = await Pool.open(port, 1)
    target = Keypair.from_base58_string(secrets[0]).pubkey()
    sockets: list[ClientConnection] = []
    began = time.perf_counter()
    for _ in range(count):
        socket = await connect(f"ws://127.0.0.1:{port}", compression=None, open_timeout=30)
        await socket.send(request("accountSubscribe", str(target), {"commitment": "processed"}).decode())
        await socket.recv()
        sockets.append(socket)
    opened = time.perf_counter() - began
    first, last = [], []
    for number in range(changes):
        source = Keypair.from_base58_string(secrets[1 + number])
        latest = json.loads(await pool.post(request("getLatestBlockhash")))
        blockhash = Hash.from_string(latest["result"]["value"]["blockhash"])
        text = base64.b64encode(bytes(pay(source, target, 10_000 + number, blockhash))).decode()
        at = time.perf_counter()
        await pool.post(request("sendTransaction", text, {"encoding": "base64", "skipPreflight": True}))

        async def told(socket: ClientConnection) -> float:
            await asyncio.wait_for(socket.recv(), 30)
            return time.perf_counter()

        times = await asyncio.gather(*(told(socket) for socket in sockets))
        first.append(min(times) - at)
        last.append(max(times) - at)
    result = {"subscribers": count, "opened_in_s": round(opened, 2)}
    result |= {"first": percentiles(first), "last": percentiles(last)}
    print(json.dumps(result), flush=True)
    # The parent measures the server's memory while they are open.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await asyncio.gather(*(socket.close() for socket in sockets))
    return {}


def main() -> None:
    options = json.loads(sys.argv[1])
    kind = options.pop("kind")
    work = {"reads": reads, "sends": sends, "subscribers": subscribers}[kind]
    result = asyncio.run(work(**options))
    if result:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
