"""An ordered map that works a little ahead in threads: hashing, zstd, fsync and sockets all release the GIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from recovery.checkpoints.chunks import ChunkEntry
from recovery.checkpoints.manifest import PartEntry

DEPTH = 3
_WORTH_THREADS_BYTES = 1024 * 1024

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_part(part: PartEntry, function: Callable[[tuple[int, ChunkEntry]], Result]) -> Iterator[Result]:
    """`function` of every numbered chunk of a part, ahead when the part is large enough to be worth threads."""
    chunks = enumerate(part.chunks)
    return map(function, chunks) if part.raw_bytes < _WORTH_THREADS_BYTES else map_ahead(function, chunks)


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map`, with at most DEPTH results not yet taken. Raises what `function` raises, in the order of the items."""
    source = iter(items)
    first = next(source, None)
    if first is None:
        return
    second = next(source, None)
    if second is None:  # no thread for a single item
        yield function(first)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(DEPTH, thread_name_prefix="checkpoint") as pool:
        try:
            waiting.extend((pool.submit(function, first), pool.submit(function, second)))
            for item in source:
                waiting.append(pool.submit(function, item))
                if len(waiting) > DEPTH:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
