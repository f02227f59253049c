"""How many bytes of answers may be made and waiting to be sent: by one request, and on the whole server."""

from __future__ import annotations

import asyncio
from types import TracebackType

from rpc.jsonrpc.errors import Overloaded, invalid_request

#: Seconds that a request with a large answer waits until other answers are sent.
_MAX_WAIT_SECONDS = 2.0


class AnswerBudget:
    """The bytes that all answers of a server may take together, until they are sent."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._freed = asyncio.Event()

    def take(self, count: int) -> None:
        """Take `count` bytes. Raises Overloaded when fewer are free."""
        if not self.try_take(count):
            raise _busy()

    def try_take(self, count: int) -> bool:
        """Take `count` bytes; False, and nothing is taken, when fewer are free."""
        if self.used + count > self.limit:
            return False
        self.used += count
        return True

    def take_unchecked(self, count: int) -> None:
        """Take `count` bytes for an answer that is made already, even above the limit."""
        self.used += count

    async def wait_and_take(self, count: int) -> None:
        """Wait until `count` bytes are free, and take them. Raises Overloaded after `_MAX_WAIT_SECONDS`."""
        try:
            async with asyncio.timeout(_MAX_WAIT_SECONDS):
                while not self.try_take(count):
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            raise _busy() from None

    def release(self, count: int) -> None:
        """Give back what was taken."""
        self.used -= count
        if count > 0:
            self._freed.set()


class RequestBudget:
    """What the answers of one request take: `made` when all are made, `close` when they are sent.

    Its heavy calls run one after the other. The first one takes the whole limit of the request
    at once: the requests that are let in finish, instead of each holding half of what it needs.
    """

    def __init__(self, total: AnswerBudget, limit: int) -> None:
        self.limit = min(limit, total.limit)
        self.turn = asyncio.Lock()
        self._total = total
        self._used = 0
        self._taken = 0

    def call(self) -> CallBudget:
        """The part of one call, as a context that gives back what its answer does not need."""
        return CallBudget(self)

    async def enter(self) -> None:
        """Take the whole limit of the request, once it is free. Raises Overloaded."""
        if self._taken < self.limit:
            await self._total.wait_and_take(self.limit - self._taken)
            self._taken = self.limit

    def check(self, count: int) -> None:
        """Raises RpcError when `count` more bytes are more than the request may have."""
        if self._used + count > self.limit:
            raise invalid_request(
                f"The answer is too large: at most {self.limit} bytes for all calls of a request; "
                "ask for less at a time"
            )

    def grow(self, count: int) -> None:
        """Count `count` more bytes. Raises RpcError, Overloaded."""
        self.check(count)
        if self._used + count > self._taken:
            self._total.take(self._used + count - self._taken)
            self._taken = self._used + count
        self._used += count

    def shrink(self, count: int) -> None:
        """Take back what `grow` counted."""
        self._used -= count

    def made(self) -> None:
        """All answers are made; what is left is to send them."""
        self._total.release(self._taken - self._used)
        self._taken = self._used

    def close(self) -> None:
        """Everything is sent, or never will be."""
        self._used = 0
        self.made()


class CallBudget:
    """What one call takes while it makes its answer."""

    def __init__(self, request: RequestBudget) -> None:
        self._request = request
        self._making = 0
        self._has_turn = False

    async def __aenter__(self) -> CallBudget:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
        if self._has_turn:
            self._has_turn = False
            self._request.turn.release()

    async def heavy(self, count: int = 0) -> None:
        """Wait until this is the only heavy call of its request, and one of few on the server.

        `count` bytes will be read. Raises RpcError, Overloaded.
        """
        if not self._has_turn:
            await self._request.turn.acquire()
            self._has_turn = True
        # What is read for an answer is about what it will have; when that cannot fit, it is not even read.
        self._request.check(count)
        await self._request.enter()

    def make(self, count: int) -> None:
        """Say that the answer grows by `count` bytes. Raises RpcError, Overloaded."""
        self._request.grow(count)
        self._making += count

    def clear(self) -> None:
        """Begin anew: nothing is made."""
        self._request.shrink(self._making)
        self._making = 0

    def settle(self, size: int) -> None:
        """The answer is made and has `size` bytes. Raises RpcError, Overloaded."""
        self.clear()
        self._request.grow(size)


def _busy() -> Overloaded:
    return Overloaded("The server is busy with large answers")
