"""Concurrent requests are grouped, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rpc.batching import Batcher


def test_requests_that_come_while_a_group_is_answered_go_together() -> None:
    async def scenario() -> None:
        groups: list[list[int]] = []
        release = asyncio.Event()

        async def serve(group: Sequence[int]) -> list[int | BaseException]:
            groups.append(list(group))
            await release.wait()
            return [ValueError("three") if number == 3 else 2 * number for number in group]

        batcher: Batcher[int, int] = Batcher(serve, max_group=2, queue_limit=3)
        first = asyncio.create_task(batcher.ask(1))
        while not groups:
            await asyncio.sleep(0)
        rest = [asyncio.create_task(batcher.ask(number)) for number in (2, 3, 4)]
        await asyncio.sleep(0)
        with pytest.raises(asyncio.QueueFull):
            await batcher.ask(5)
        release.set()
        answers = await asyncio.gather(first, *rest, return_exceptions=True)
        assert groups == [[1], [2, 3], [4]]
        assert [answers[0], answers[1], answers[3]] == [2, 4, 8]
        assert isinstance(answers[2], ValueError)

    asyncio.run(scenario())


def test_what_the_server_raises_goes_to_the_whole_group() -> None:
    async def scenario() -> None:
        async def serve(group: Sequence[int]) -> list[int | BaseException]:
            raise ConnectionError(str(list(group)))

        batcher: Batcher[int, int] = Batcher(serve, max_group=9)
        answers = await asyncio.gather(batcher.ask(1), batcher.ask(2), return_exceptions=True)
        assert [str(answer) for answer in answers] == ["[1, 2]", "[1, 2]"]

    asyncio.run(scenario())


def test_closing_cancels_those_who_wait() -> None:
    async def scenario() -> None:
        async def serve(_: Sequence[int]) -> list[int | BaseException]:
            await asyncio.Event().wait()
            return []

        batcher: Batcher[int, int] = Batcher(serve, max_group=1)
        asked = [asyncio.create_task(batcher.ask(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await batcher.close()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 2

    asyncio.run(scenario())
