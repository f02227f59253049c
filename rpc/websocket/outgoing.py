"""The send queue of one websocket, bounded, and counted among the server's answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rpc.jsonrpc.answer_budget import AnswerBudget

#: Answers of so many bytes may wait before no more calls are read.
_MAX_ANSWERS = 64 * 1024
#: Seconds after which a sent message has left the server's memory: a client that reads nothing misses a ping by then.
_READ_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class _Message:
    text: str
    answer: bool


class Outgoing:
    """Messages in their order. `limit` is the most bytes of notifications that may wait."""

    def __init__(self, answer_budget: AnswerBudget, limit: int) -> None:
        self._answer_budget = answer_budget
        self._limit = limit
        self._messages: deque[_Message] = deque()
        self._notifications = 0
        self._answers = 0
        #: Bytes that count among the server's answers: waiting, or handed over but perhaps not read yet.
        self._held = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()

    def notify(self, text: str) -> bool:
        """Queue a notification; False when too much waits already. A single one may be of any size."""
        if self._notifications > self._limit or not self._answer_budget.try_take(len(text)):
            return False
        self._notifications += len(text)
        self._put(_Message(text, answer=False))
        return True

    def answer(self, text: str) -> None:
        """Queue an answer, which the client asked for; see `drained`."""
        self._answer_budget.take_unchecked(len(text))
        self._answers += len(text)
        self._put(_Message(text, answer=True))

    async def drained(self) -> None:
        """Wait while many bytes of answers are on their way."""
        if self._answers > _MAX_ANSWERS:
            await self._idle.wait()

    async def send(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what comes, for ever. `send` must return when what was sent before has left the memory."""
        before = 0
        while True:
            try:
                async with asyncio.timeout(_READ_SECONDS if before else None):
                    await self._wake.wait()
            except TimeoutError:
                self._release(before)
                before = 0
                continue
            self._wake.clear()
            while self._messages:
                message = self._messages.popleft()
                await send(message.text)
                size = len(message.text)
                if message.answer:
                    self._answers -= size
                else:
                    self._notifications -= size
                self._release(before)
                before = size
            self._idle.set()

    def close(self) -> None:
        """Nothing is sent any more."""
        self._messages.clear()
        self._release(self._held)
        self._idle.set()

    def _put(self, message: _Message) -> None:
        self._held += len(message.text)
        self._messages.append(message)
        self._idle.clear()
        self._wake.set()

    def _release(self, count: int) -> None:
        count = min(count, self._held)
        self._held -= count
        self._answer_budget.release(count)
