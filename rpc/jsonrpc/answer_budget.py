"""How many bytes of answers may be made and waiting to be sent: by one request, and on the whole server."""

from __future__ import annotations

import asyncio
from types import TracebackType

from rpc.jsonrpc.errors import Overloaded, invalid_request

#: Seconds that a request with a large answer waits for room.
_PATIENCE = 2.0


class Room:
    """The bytes that all answers of a server may take together, until they are sent."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._freed = asyncio.Event()

    def take(self, count: int) -> None:
        """Raises Overloaded when others have it all."""
        if not self.try_take(count):
            raise _busy()

    def try_take(self, count: int) -> bool:
        """False when there is no room; nothing is taken then."""
        if self.used + count > self.limit:
            return False
        self.used += count
        return True

    def take_anyhow(self, count: int) -> None:
        """For what is made already."""
        self.used += count

    async def wait_and_take(self, count: int) -> None:
        """Wait for room. Raises Overloaded when there is none for a while."""
        try:
            async with asyncio.timeout(_PATIENCE):
                while not self.try_take(count):
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            raise _busy() from None

    def give(self, count: int) -> None:
        """Give back what was taken."""
        self.used -= count
        if count > 0:
            self._freed.set()


class Allowance:
    """What the answers of one request take: `made` when all are made, `close` when they are sent.

    Its heavy calls run one after the other. The first one waits for room for all that the request may have: those that
    are let in get done, instead of all getting half.
    """

    def __init__(self, room: Room, limit: int) -> None:
        self.limit = min(limit, room.limit)
        self.turn = asyncio.Lock()
        self._room = room
        self._used = 0
        self._taken = 0

    def call(self) -> Claim:
        """The part of one call, as a context that gives back what its answer does not need."""
        return Claim(self)

    async def enter(self) -> None:
        """Wait for room for all of it. Raises Overloaded."""
        if self._taken < self.limit:
            await self._room.wait_and_take(self.limit - self._taken)
            self._taken = self.limit

    def check(self, count: int) -> None:
        """Raises RpcError when `count` more bytes are more than the request may have."""
        if self._used + count > self.limit:
            raise invalid_request(
                f"The answer is too large: at most {self.limit} bytes for all calls of a request; "
                "ask for less at a time"
            )

    def grow(self, count: int) -> None:
        """Raises RpcError, Overloaded."""
        self.check(count)
        if self._used + count > self._taken:
            self._room.take(self._used + count - self._taken)
            self._taken = self._used + count
        self._used += count

    def shrink(self, count: int) -> None:
        self._used -= count

    def made(self) -> None:
        """All answers are made; what is left is to send them."""
        self._room.give(self._taken - self._used)
        self._taken = self._used

    def close(self) -> None:
        """Everything is sent, or never will be."""
        self._used = 0
        self.made()


class Claim:
    """What one call takes while it makes its answer."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._making = 0
        self._has_turn = False

    async def __aenter__(self) -> Claim:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
        if self._has_turn:
            self._has_turn = False
            self._allowance.turn.release()

    async def heavy(self, count: int = 0) -> None:
        """Wait until this is the only heavy call of its request, and one of few on the server.

        `count` bytes will be read. Raises RpcError, Overloaded.
        """
        if not self._has_turn:
            await self._allowance.turn.acquire()
            self._has_turn = True
        # What is read for an answer is about what it will have; when that cannot fit, it is not even read.
        self._allowance.check(count)
        await self._allowance.enter()

    def make(self, count: int) -> None:
        """Say that the answer grows by `count` bytes. Raises RpcError, Overloaded."""
        self._allowance.grow(count)
        self._making += count

    def clear(self) -> None:
        """Begin anew: nothing is made."""
        self._allowance.shrink(self._making)
        self._making = 0

    def settle(self, size: int) -> None:
        """The answer is made and has `size` bytes. Raises RpcError, Overloaded."""
        self.clear()
        self._allowance.grow(size)


def _busy() -> Overloaded:
    return Overloaded("The server is busy with large answers")
