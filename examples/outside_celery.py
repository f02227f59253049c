"""Retry in code that has nothing to do with Celery, sync and async, with an observer and a budget.

Run it, from the project's folder (it needs no server):

    .venv/bin/python -m examples.outside_celery
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from recovery import Jitter, RetryBudget, RetryEvent, RetryPolicy, TerminalError, TransientError, set_retry_hooks

POLICY = RetryPolicy.preset("network", initial_delay=0.02, jitter=Jitter.FULL, deadline=5.0)
BUDGET = RetryBudget(floor_per_second=10.0)  # without a Redis client it is this process's own


def tell(event: RetryEvent) -> None:
    """An observer: here it prints, elsewhere it would count."""
    following = f"again in {event.delay:.3f} s" if event.delay else str(event.verdict)
    print(f"  {event.name}, attempt {event.attempt}: {event.error} -> {following}")


_weather = itertools.count()
_stock = itertools.count()


@POLICY
def forecast(town: str) -> str:
    """A decorated function; it works from the third call on."""
    if next(_weather) < 2:
        raise ConnectionResetError("connection reset by peer")
    return f"Sunny in {town}"


async def in_stock(item: str) -> int:
    """A coroutine function; the other side asks for patience once."""
    if next(_stock) < 1:
        raise TransientError("rate limit exceeded", retry_after=0.1)
    return len(item)


def order(item: str) -> None:
    """Never works, so it is never tried again."""
    raise TerminalError(f"{item} is no longer sold")


async def main() -> int:
    set_retry_hooks([tell])
    print(forecast("Trieste"))
    print("in stock:", await POLICY.using(name="stock", budget=BUDGET).acall(in_stock, "umbrella"))
    try:
        POLICY.call(order, "galoshes")
    except TerminalError as error:
        print("not ordered:", error)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
