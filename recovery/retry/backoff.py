"""How long to wait before the next attempt: pure arithmetic, seconds as floats."""

from __future__ import annotations

import math
from datetime import timedelta
from enum import StrEnum
from typing import Protocol


class Uniform(Protocol):
    """A source of chance: the `random` module or a seeded `random.Random`."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number between `a` and `b`."""


class Jitter(StrEnum):
    """How chance spreads the delays, so that clients which failed together do not return together."""

    #: `delay ± delay * jitter_factor`, around the exponential delay: the seed's.
    PROPORTIONAL = "proportional"
    #: Uniform between 0 and the exponential delay ("full jitter", M. Brooker, AWS Architecture Blog, 2015).
    FULL = "full"
    #: Uniform between `initial_delay` and three times the previous delay (same source, "decorrelated").
    DECORRELATED = "decorrelated"


def exponential(attempt: int, *, initial: float, multiplier: float, max_delay: float) -> float:
    """Seconds after failed attempt number `attempt` (1 is the first): `min(initial * multiplier^n, max_delay)`."""
    try:
        grown = initial * multiplier ** (attempt - 1)
    except OverflowError:
        return max_delay
    return min(grown, max_delay)


def proportional(delay: float, factor: float, rng: Uniform) -> float:
    """`delay ± delay * factor`, never below 0. It may so exceed `max_delay`, by `factor` at most."""
    return max(0.0, delay + delay * rng.uniform(-factor, factor))


def decorrelated(previous: float | None, *, initial: float, max_delay: float, rng: Uniform) -> float:
    """Uniform from `initial` to three times the `previous` delay (None: there was none), at most `max_delay`."""
    ceiling = 3 * max(initial, previous if previous is not None else initial)
    return min(max_delay, rng.uniform(initial, ceiling))


def retry_after_seconds(error: BaseException) -> float | None:
    """What the error's `retry_after` attribute asks for, in seconds; None when it asks for nothing usable."""
    seconds = getattr(error, "retry_after", None)
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or math.isnan(seconds) or seconds < 0:
        return None
    return float(seconds)
