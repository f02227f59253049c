"""TCP links between named processes and Redis, which a nemesis can slow down, cut and half-open."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.support.ports import free_port

_BYTES = 65_536
_SCRIPT = b"EVALSHA"


@dataclass
class Rules:
    """What a link does to the bytes that pass: `delay` in seconds for each piece, `trickle` bytes at a time.

    While `hold_requests` or `hold_replies` is set, what goes that way waits, as it would for TCP's retransmission, and
    arrives when the link heals. `refuse` ends new connections at once. Of `lost_replies` many connections the next
    reply is dropped, and the connection with it: the command ran, and nobody hears of it. `lost_share` of
    the replies to scripts, which are what calls of the ledger are, are lost like that.
    """

    delay: float = 0.0
    trickle: int = 0
    hold_requests: bool = False
    hold_replies: bool = False
    refuse: bool = False
    lost_replies: int = 0
    lost_share: float = 0.0


class Link:
    """One process's way to Redis: it listens on `port`, and goes to `target`."""

    def __init__(self, name: str, target: int) -> None:
        self.name = name
        self.port = free_port()
        self.target = target
        self.rules = Rules()
        self._open: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        #: Connections and pieces of requests that came.
        self.arrivals = 0

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def set(self, rules: Rules) -> None:
        self.rules = rules
        self._changed.set()
        self._changed = asyncio.Event()

    async def cut(self) -> None:
        """Reset every open connection."""
        for writer in list(self._open):
            writer.transport.abort()

    async def close(self) -> None:
        """Take no more connections, and end those that are open."""
        if self._server is not None:
            self._server.close()
        self.rules = Rules()
        self._changed.set()
        await self.cut()
        while self._open:
            await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.arrivals += 1
        try:
            if self.rules.refuse:
                return
            with suppress(OSError):
                up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
                self._open.add(up_writer)
                called = asyncio.Event()
                try:
                    ways = [
                        asyncio.ensure_future(self._pump(reader, up_writer, called, replies=False)),
                        asyncio.ensure_future(self._pump(up_reader, writer, called, replies=True)),
                    ]
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
                finally:
                    self._open.discard(up_writer)
                    up_writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, called: asyncio.Event, *, replies: bool
    ) -> None:
        """`called` is set while the reply to a script is awaited."""
        with suppress(OSError):
            while data := await source.read(_BYTES):
                self.arrivals += not replies
                if self.rules.delay:
                    await asyncio.sleep(self.rules.delay)
                while self.rules.hold_replies if replies else self.rules.hold_requests:
                    await self._changed.wait()
                if replies and self.rules.lost_replies > 0:
                    self.rules.lost_replies -= 1
                    return
                if not replies and _SCRIPT in data:
                    called.set()
                elif replies and called.is_set():
                    called.clear()
                    if random.random() < self.rules.lost_share:
                        return
                step = self.rules.trickle or len(data)
                for at in range(0, len(data), step):
                    sink.write(data[at : at + step])
                    await sink.drain()
                    if step < len(data):
                        await asyncio.sleep(0)


@dataclass
class Network:
    """All links, served by one thread."""

    links: dict[str, Link] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()

    def link(self, name: str, target: int) -> Link:
        """A new link to the port `target` of this machine."""

        async def make() -> Link:
            link = Link(name, target)
            await link.listen()
            return link

        self.links[name] = self._run(make())
        return self.links[name]

    def arrivals(self) -> int:
        """Connections and pieces of requests that came to any link so far."""
        return sum(link.arrivals for link in self.links.values())

    def set(self, name: str, rules: Rules) -> None:
        """New rules for what passes from now on."""
        self._run(self.links[name].set(rules))

    def cut(self, name: str) -> None:
        """Reset the open connections of one link."""
        self._run(self.links[name].cut())

    def heal(self) -> None:
        """No rules, on any link."""
        for name in self.links:
            self.set(name, Rules())

    def close(self) -> None:
        """End the thread, and with it every link."""
        for link in self.links.values():
            self._run(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
