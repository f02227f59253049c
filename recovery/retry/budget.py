"""A retry budget for the whole fleet: retries stay a small part of the calls, so an outage is not made worse.

The rule is gRPC's retry throttling (gRFC A6) as a token bucket: a call that comes back well deposits `ratio`
tokens, a retry withdraws one, and a small floor drips in. Failing calls deposit nothing, so in a total outage
only the floor remains, and retries never exceed `ratio` of the calls plus that floor.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from pathlib import Path

import redis

from recovery.clock import Clock, SystemClock
from recovery.retry.token_bucket import TokenBucket, millionths
from recovery.scripts import LuaScript

logger = logging.getLogger(__name__)

_SCRIPT = LuaScript(Path(__file__).parent.parent / "lua" / "retry_budget.lua")

#: Successes counted in this process before they are told to Redis without a retry asking for it.
FLUSH_EVERY = 100
#: Seconds during which a Redis that did not answer is not asked again.
REST_AFTER_ERROR = 1.0


class RetryBudget:
    """The budget called `name`, shared through `client`; without a client, of this process alone.

    `ratio` is the most retries per call, `floor_per_second` the retries always allowed, `capacity` the most
    that can be saved up. Safe for threads and after fork. While Redis is away each process keeps the same rule
    on its own (its own floor, too), and says so once. Tokens are counted in whole millionths, so that Redis and
    every process reckon alike: `ratio`, `floor_per_second` and `capacity` are rounded to that.
    """

    def __init__(
        self,
        client: redis.Redis | None = None,
        *,
        name: str = "default",
        prefix: str = "recovery",
        ratio: float = 0.2,
        floor_per_second: float = 1.0,
        capacity: float = 100.0,
        clock: Clock | None = None,
    ) -> None:
        if not 0 <= ratio <= 1:
            raise ValueError(f"ratio must be from 0 to 1, not {ratio!r}")
        if floor_per_second < 0 or capacity < max(1.0, floor_per_second):
            raise ValueError("floor_per_second must not be negative, and capacity at least 1 and that floor")
        self.name = name
        self.ratio = ratio
        self.floor_per_second = floor_per_second
        self.capacity = capacity
        self._client = client
        self._clock = clock or SystemClock()
        # One hash slot for both keys.
        self._key = f"{prefix}:{{budget:{name}}}"
        self._deposit = millionths(ratio)
        self._limits = (millionths(floor_per_second), millionths(capacity))
        self._local = TokenBucket(floor_per_second=floor_per_second, capacity=capacity, clock=self._clock)
        self._away = False
        self._lock = threading.Lock()
        self._successes = 0
        self._begin_process()

    def record_success(self) -> None:
        """A call came back well. Counted here; told to Redis with the next retry or the hundredth success."""
        self._after_fork()
        with self._lock:
            self._successes += 1
            due = self._client is not None and self._successes >= FLUSH_EVERY and self._may_ask()
        if due:
            self._ask(withdraw=0)

    def try_retry(self) -> bool:
        """Withdraw one retry (one round trip); False when the budget is exhausted. Raises nothing of Redis's."""
        self._after_fork()
        if self._client is not None and self._may_ask():
            granted = self._ask(withdraw=1)
            if granted is not None:
                return granted
        with self._lock:
            deposit, self._successes = self._successes * self._deposit, 0
        return self._local.withdraw(deposit)

    def available(self) -> float:
        """Retries that could be made now, asking nobody to pay for one. Raises what redis-py raises."""
        if self._client is None:
            return self._local.available()
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        pipe.hmget(self._key, "millionths", "at")
        (seconds, micros), (held, at) = pipe.execute()
        drip, capacity = self._limits
        if held is None:
            # Nobody used it, or it was idle until it was full; a new one holds a second of the floor.
            return max(drip, millionths(1)) / millionths(1)
        dripped = max(0, seconds * 1_000_000 + micros - int(at or 0)) * drip // 1_000_000
        return float(min(capacity, int(held) + dripped) / millionths(1))

    def _ask(self, *, withdraw: int) -> bool | None:
        """Deposit what is counted here and withdraw; None when Redis does not answer."""
        assert self._client is not None
        with self._lock:
            successes, self._successes = self._successes, 0
            self._requests += 1
            number = self._requests
        try:
            granted = _SCRIPT(
                self._client,
                [self._key, f"{self._key}:{self._identity}-{threading.get_ident()}"],
                [number, successes * self._deposit, withdraw, *self._limits],
            )
        except redis.RedisError as error:
            # The deposit may have been applied: to count it again could exceed the budget, to drop it cannot.
            self._log_away(error)
            return None
        self._log_back()
        return bool(granted)

    def _may_ask(self) -> bool:
        return not self._away or self._clock.monotonic() >= self._ask_again_at

    def _log_away(self, error: redis.RedisError) -> None:
        self._ask_again_at = self._clock.monotonic() + REST_AFTER_ERROR
        if not self._away:
            self._away = True
            logger.warning(
                "Retry budget %r: Redis does not answer (%s); this process keeps the budget on its own",
                self.name,
                error,
            )

    def _log_back(self) -> None:
        if self._away:
            self._away = False
            logger.warning("Retry budget %r: Redis answers again; the budget is shared again", self.name)

    def _begin_process(self) -> None:
        self._pid = os.getpid()
        self._identity = secrets.token_hex(8)
        self._requests = 0
        self._successes = 0
        self._ask_again_at = 0.0
        self._lock = threading.Lock()

    def _after_fork(self) -> None:
        # What the parent had counted is the parent's to deposit; a lock may have been copied while it was held.
        if self._pid != os.getpid():
            self._begin_process()
