"""One RPC server in the test's own process, over a ledger that the test moves on by itself."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import redis
from celery import Celery
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from banking.intake.intake import Intake
from banking.transaction import SignedTransaction, verify
from config.celery_settings import celery_settings
from config.settings import Settings
from rpc.collaborators import Collaborators
from rpc.jsonrpc.dispatch import Reply
from rpc.ledger_access.archived_blocks import ArchivedBlocks
from rpc.node import RpcNode
from tests.support.ledgers import World, new_world, transfer_transaction, waiting

T = TypeVar("T")


class Node:
    """`call` asks the server; `commit` and `seal` do what workers and beat do."""

    def __init__(self, client: redis.Redis, url: str, folder: Path, **options: Any) -> None:
        self.world: World = new_world(
            client, "main", more=options.pop("accounts", None), sandbox=options.pop("sandbox", False)
        )
        (folder / "faucet.json").write_text(json.dumps(list(bytes(self.world.faucet))))
        around: dict[str, Any] = {"blocks": ArchivedBlocks(self.world.blocks)}
        around |= {name: options.pop(name) for name in ("gate", "breaker", "health", "warp") if name in options}
        self.settings = Settings.from_variables(data_dir=folder, redis_url=url, **options)
        self._runner = asyncio.Runner()
        self.rpc = self.run(self._make(Collaborators(**around)))

    async def _make(self, collaborators: Collaborators) -> RpcNode:
        app = Celery("test-rpc", set_as_current=False)
        app.conf.update(celery_settings(self.settings))
        made = RpcNode(self.settings, collaborators, app=app)
        await made.start()
        assert await made.context.indexes.follower.wait_for(await made.context.ledger.reader.read(), 10)
        return made

    def close(self) -> None:
        self.run(self.rpc.stop())
        self._runner.close()

    def run(self, work: Awaitable[T]) -> T:
        async def waiting() -> T:
            return await work

        return self._runner.run(waiting())

    def post(self, body: bytes) -> Reply:
        """The answer to the bytes of a request."""
        reply = self.run(self.rpc.dispatcher.answer(body, "test"))
        reply.close()
        return reply

    def ask(self, method: str, *params: Any) -> Any:
        """The whole JSON-RPC answer."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        reply = self.post(body)
        assert reply.body is not None
        return json.loads(reply.body)

    def raw(self, method: str, *params: Any) -> str:
        """The text of an answer, for typed parsing."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        reply = self.post(body)
        assert reply.body is not None
        return reply.body.decode()

    def call(self, method: str, *params: Any) -> Any:
        """The result. Fails on an error."""
        reply = self.ask(method, *params)
        assert "error" not in reply, reply
        return reply["result"]

    def error(self, method: str, *params: Any) -> Any:
        """The error. Fails on a result."""
        reply = self.ask(method, *params)
        assert "result" not in reply, reply
        return reply["error"]

    def commit(self, *transactions: VersionedTransaction) -> Sequence[SignedTransaction]:
        """Bring transactions to their outcomes, as a worker does."""
        signed_transactions = [verify(bytes(transaction)) for transaction in transactions]
        self.world.stage.process(signed_transactions)
        return signed_transactions

    def drain(self) -> int:
        """Process all that intake holds; returns how many that were."""
        held = waiting(self.world.ledger)
        self.world.stage.process(held)
        return len(held)

    def pay(self, target: Pubkey, lamports: int) -> SignedTransaction:
        """Commit a transfer from the faucet."""
        return self.commit(self.transfer(self.world.faucet, target, lamports))[0]

    def transfer(self, source: Keypair, target: Pubkey, lamports: int) -> VersionedTransaction:
        return transfer_transaction(source, target, lamports, self.blockhash())

    def blockhash(self) -> Hash:
        return self.world.blockhash()

    def seal(self, times: int = 1) -> None:
        for _ in range(times):
            self.world.seal()

    @property
    def intake(self) -> Intake:
        return Intake(self.world.ledger)


def base64_of(transaction: VersionedTransaction) -> str:
    return base64.b64encode(bytes(transaction)).decode()


def signature_of(transaction: SignedTransaction) -> str:
    return str(transaction.parsed.signatures[0])


#: What the fixture `make_node` gives.
MakeNode = Callable[..., Node]
