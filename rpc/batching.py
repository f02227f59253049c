"""Grouping concurrent requests: those that come while a group is being answered are answered together in the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rpc.cancellation import cancel_and_wait

Request = TypeVar("Request")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Waiting(Generic[Request, Answer]):
    request: Request
    future: asyncio.Future[Answer]


class Batcher(Generic[Request, Answer]):
    """Calls `serve` with at most `max_group` requests at a time, one group after the other.

    `serve` returns an answer or an exception for each request; what it raises itself goes to all of the group. Without
    load nobody waits; `window` (seconds) makes the first of a group wait for those who come at the same moment.
    """

    def __init__(
        self,
        serve: Callable[[Sequence[Request]], Awaitable[Sequence[Answer | BaseException]]],
        *,
        max_group: int,
        queue_limit: int | None = None,
        window: float | None = None,
    ) -> None:
        self._serve = serve
        self._max_group = max_group
        self._queue_limit = queue_limit
        self._window = window
        self._queue: deque[_Waiting[Request, Answer]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, request: Request) -> Answer:
        """The answer to `request`. Raises what `serve` gives for it, asyncio.QueueFull beyond `queue_limit`."""
        if self._queue_limit is not None and len(self._queue) >= self._queue_limit:
            raise asyncio.QueueFull
        waiting: _Waiting[Request, Answer] = _Waiting(request, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await waiting.future

    async def close(self) -> None:
        """Stop, and cancel the requests that still wait."""
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        group: list[_Waiting[Request, Answer]] = []
        try:
            if self._window is not None:
                await asyncio.sleep(self._window)
            while self._queue:
                taken = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_group))]
                # A request that was given up needs no answer.
                group = [waiting for waiting in taken if not waiting.future.done()]
                if group:
                    _settle(group, await self._answers(group))
        except asyncio.CancelledError:
            for waiting in (*group, *self._queue):
                waiting.future.cancel()
            raise

    async def _answers(self, group: Sequence[_Waiting[Request, Answer]]) -> Sequence[Answer | BaseException]:
        try:
            return await self._serve([waiting.request for waiting in group])
        except Exception as error:  # noqa: BLE001 - handed to each request
            return [error] * len(group)


def _settle(group: Sequence[_Waiting[Request, Answer]], answers: Sequence[Answer | BaseException]) -> None:
    for waiting, answer in zip(group, answers, strict=True):
        if waiting.future.done():
            continue
        if isinstance(answer, BaseException):
            waiting.future.set_exception(answer)
        else:
            waiting.future.set_result(answer)
