"""Retry with backoff. One policy, one arithmetic; sync, async and Celery are three ways to wait."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar, Unpack

from recovery.clock import Clock
from recovery.presets import RETRY_PRESETS
from recovery.protocols import RetryBudgetProtocol
from recovery.retry import backoff
from recovery.retry.backoff import Jitter, Uniform
from recovery.retry.caller import Retrying
from recovery.retry.classification import Predicate, is_never_retried, is_retryable
from recovery.retry.decision import Decision
from recovery.retry.events import RetryHook, Verdict
from recovery.retry.options import RetryOverrides

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try. Times are seconds. Raises ValueError for values that make no sense.

    `max_attempts` counts the first one. The wait after failed attempt n (from 1) is
    `min(initial_delay * backoff_multiplier^(n-1), max_delay)`, spread by `jitter`. `jitter_factor` belongs to
    the proportional kind and is applied after the limit, as in the seed: that kind waits at most
    `max_delay * (1 + jitter_factor)`.

    `deadline` is how long after the start of the first attempt the last may *start*; None: any time.
    `retryable` decides by the error; terminal errors and refusals are never retried, whatever it says.
    An error's `retry_after` (seconds) lengthens the wait, up to `max_retry_after` (None: `max_delay`).
    """

    max_attempts: int = 3
    initial_delay: float = 0.1
    max_delay: float = 5.0
    backoff_multiplier: float = 2.0
    jitter_factor: float = 0.1
    jitter: Jitter = Jitter.PROPORTIONAL
    deadline: float | None = None
    retryable: Predicate = is_retryable
    max_retry_after: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.max_attempts, bool) or not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise ValueError(f"max_attempts must be a whole number of at least 1, not {self.max_attempts!r}")
        _check("initial_delay", self.initial_delay)
        _check("max_delay", self.max_delay, least=self.initial_delay)
        _check("backoff_multiplier", self.backoff_multiplier, least=1.0)
        _check("jitter_factor", self.jitter_factor, most=1.0)
        if self.deadline is not None and not self.deadline > 0:
            raise ValueError(f"deadline must be above 0 seconds or None, not {self.deadline!r}")
        if self.max_retry_after is not None:
            _check("max_retry_after", self.max_retry_after)
        if not callable(self.retryable):
            raise ValueError("retryable must be a function of the error; see retry_on(*types)")
        object.__setattr__(self, "jitter", Jitter(self.jitter))

    @classmethod
    def preset(cls, name: str, **changes: Unpack[RetryOverrides]) -> RetryPolicy:
        """The named preset of `recovery.presets`, with `changes`. Raises ValueError naming those there are."""
        if name not in RETRY_PRESETS:
            raise ValueError(f"no retry preset {name!r}; there are: {', '.join(sorted(RETRY_PRESETS))}")
        return replace(cls(**RETRY_PRESETS[name]), **changes)

    def delay(self, attempt: int, previous: float | None = None, rng: Uniform = random) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1), the wait before it being `previous`."""
        if attempt < 1:
            raise ValueError(f"attempts count from 1, not {attempt!r}")
        if self.jitter is Jitter.DECORRELATED:
            return backoff.decorrelated(previous, initial=self.initial_delay, max_delay=self.max_delay, rng=rng)
        delay = backoff.exponential(
            attempt, initial=self.initial_delay, multiplier=self.backoff_multiplier, max_delay=self.max_delay
        )
        if self.jitter is Jitter.FULL:
            return rng.uniform(0.0, delay)
        return backoff.proportional(delay, self.jitter_factor, rng)

    def is_retryable(self, error: BaseException) -> bool:
        """True when another attempt may help."""
        return isinstance(error, Exception) and not is_never_retried(error) and self.retryable(error)

    def may_start(self, elapsed: float) -> bool:
        """False when, `elapsed` seconds after the first attempt began, no other may begin."""
        return self.deadline is None or elapsed < self.deadline

    def decide(
        self,
        error: BaseException,
        attempt: int,
        *,
        elapsed: float = 0.0,
        previous: float | None = None,
        rng: Uniform = random,
    ) -> Decision:
        """What to do now that attempt number `attempt` (from 1) failed, `elapsed` seconds after the first began."""
        if not self.is_retryable(error):
            return Decision(Verdict.NOT_RETRYABLE)
        if attempt >= self.max_attempts:
            return Decision(Verdict.ATTEMPTS_USED_UP)
        delay = max(self.delay(attempt, previous, rng), self._asked_for(error))
        if not self.may_start(elapsed + delay):
            return Decision(Verdict.DEADLINE)
        return Decision(Verdict.RETRY, delay)

    def _asked_for(self, error: BaseException) -> float:
        limit = self.max_delay if self.max_retry_after is None else self.max_retry_after
        return min(backoff.retry_after_seconds(error) or 0.0, limit)

    def using(
        self,
        *,
        name: str | None = None,
        clock: Clock | None = None,
        rng: Uniform = random,
        budget: RetryBudgetProtocol | None = None,
        hooks: Iterable[RetryHook] | None = None,
    ) -> Retrying:
        """This policy with its surroundings: clock, chance, a retry budget, observers (None: the process's)."""
        return Retrying(self, name=name, clock=clock, rng=rng, budget=budget, hooks=hooks)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`fn(*args, **kwargs)`, tried again as the policy says. Raises the last error, with the attempts noted."""
        return self.using().call(fn, *args, **kwargs)

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `call`, for a coroutine function; waiting leaves the event loop free."""
        return await self.using().acall(fn, *args, **kwargs)

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Decorate `fn`, a function or a coroutine function."""
        return self.using()(fn)


def _check(name: str, value: float, *, least: float = 0.0, most: float = math.inf) -> None:
    if not (least <= value <= most and math.isfinite(value)):
        limit = f"from {least:g} to {most:g}" if math.isfinite(most) else f"finite and at least {least:g}"
        raise ValueError(f"{name} must be {limit}, not {value!r}")
