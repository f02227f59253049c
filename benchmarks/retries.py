"""What a retry policy adds to a call: ours beside tenacity and stamina, no delay between attempts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from benchmarks.harness import summary
from recovery.retry.policy import RetryPolicy

_CALLS, _TURNS = 3_000, 5


class _Flaky:
    """Fails `failures` times before each success."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self._left = failures

    def __call__(self) -> None:
        if self._left:
            self._left -= 1
            raise ConnectionError("ill")
        self._left = self._failures


def _ours() -> Callable[[Callable[[], None]], Any]:
    return RetryPolicy(max_attempts=3, initial_delay=0.0, max_delay=0.0).call


def _tenacity() -> Callable[[Callable[[], None]], Any]:
    import tenacity

    caller: Callable[[Callable[[], None]], Any] = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none()
    )
    return caller


def _stamina() -> Callable[[Callable[[], None]], Any]:
    import stamina

    caller: Callable[[Callable[[], None]], Any] = stamina.RetryingCaller(
        attempts=3, wait_initial=0, wait_max=0, wait_jitter=0
    ).on(ConnectionError)
    stamina.instrumentation.set_on_retry_hooks([])
    return caller


def run() -> dict[str, Any]:
    """Microseconds that are added to a call that succeeds at once, and to one that succeeds at the third attempt."""
    # Nobody is told of the retries, by any of them.
    for name in ("recovery", "stamina"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    makers = {"trunkline": _ours, "tenacity": _tenacity, "stamina": _stamina}
    callers = {name: make() for name, make in makers.items()}
    found: dict[str, dict[str, list[float]]] = {name: {"at once": [], "third attempt": []} for name in callers}
    for _ in range(_TURNS):
        bare = _us(lambda work: work(), 0)
        for name, call in callers.items():
            found[name]["at once"].append(_us(call, 0) - bare)
            found[name]["third attempt"].append(_us(call, 2))
    return {
        name: {
            "version": "" if name == "trunkline" else version(name),
            **{kind: summary(values) for kind, values in kinds.items()},
        }
        for name, kinds in found.items()
    }


def _us(call: Callable[[Callable[[], None]], Any], failures: int) -> float:
    work = _Flaky(failures)
    began = time.process_time()
    for _ in range(_CALLS):
        call(work)
    return (time.process_time() - began) / _CALLS * 1e6
