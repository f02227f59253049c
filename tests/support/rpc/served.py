"""A server on real sockets in a thread, over a ledger that the test moves on by itself."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
import uvicorn
from celery import Celery
from websockets.sync.client import ClientConnection, connect

from config.celery_settings import celery_settings
from config.settings import Settings
from rpc.collaborators import Collaborators
from rpc.ledger_access.archived_blocks import ArchivedBlocks
from rpc.node import RpcNode
from rpc.runner import uvicorn_config
from tests.support.ledgers import World, new_world


class Served:
    """`url` and `ws_url` are for clients; `world` commits and seals."""

    def __init__(self, client: redis.Redis, url: str, folder: Path, **options: Any) -> None:
        self.world: World = new_world(client, "main")
        (folder / "faucet.json").write_text(json.dumps(list(bytes(self.world.faucet))))
        settings = Settings.from_variables(data_dir=folder, redis_url=url, **options)
        app = Celery("test-rpc", set_as_current=False)
        app.conf.update(celery_settings(settings))
        self.rpc = RpcNode(settings, Collaborators(blocks=ArchivedBlocks(self.world.blocks)), app=app)
        self._server = uvicorn.Server(uvicorn_config(self.rpc.application(), settings))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started or self.rpc.context.indexes.follower.seq < 0:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()


class Subscriber:
    """A websocket client that tells answers and notifications apart."""

    def __init__(self, url: str) -> None:
        self._stack = contextlib.ExitStack()
        self.socket: ClientConnection = self._stack.enter_context(connect(url, open_timeout=10, max_size=None))
        self._notifications: list[dict[str, Any]] = []
        self._next = 0

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def ask(self, method: str, *params: Any) -> Any:
        """The whole answer; notifications that come before it are kept."""
        self._next += 1
        self.socket.send(json.dumps({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}))
        while True:
            message = self.receive()
            if "id" in message:
                return message
            self._notifications.append(message)

    def call(self, method: str, *params: Any) -> Any:
        answer = self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    def receive(self, timeout: float = 10) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(timeout))
        return message

    def notification(self, timeout: float = 10) -> Any:
        """The `params` of the next notification."""
        message = self._notifications.pop(0) if self._notifications else self.receive(timeout)
        assert "id" not in message, message
        return message["params"]

    def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while."""
        if self._notifications:
            return False
        try:
            self.receive(seconds)
        except TimeoutError:
            return True
        return False


#: What the fixture `make_served` gives.
MakeServed = Callable[..., Served]
