"""The circuit breaker as its users see it."""

from __future__ import annotations

import functools
import inspect
import socket
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

import redis

from recovery.breaker.admission_control import AdmissionControl
from recovery.breaker.config import CircuitBreakerConfig
from recovery.breaker.core import LocalStore
from recovery.breaker.errors import CircuitOpenError
from recovery.breaker.events import Announcer, BreakerListener
from recovery.breaker.fallback import NO_FALLBACK, LastGood
from recovery.breaker.permit import Permit
from recovery.breaker.predicates import FailurePredicate, is_failure
from recovery.breaker.redis_health import RedisLink, link_to
from recovery.breaker.redis_store import RedisStore, ServerTime
from recovery.breaker.shared_store import SharedStore
from recovery.breaker.state import CircuitState, Override, Snapshot, Store
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.errors import ConfigurationError

P = ParamSpec("P")
T = TypeVar("T")


class CircuitBreaker:
    """Stops calling what does not work, in every process at once, and finds out when it works again.

    `redis` is a redis-py client or a URL whose server keeps the state that all processes share; without one the
    state is local to the process. (A `RedisLink` brings a client of your own, used as it is.) `name` stands for the
    dependency (`ledger`, `upstream:<host>`); all processes give it the same config. `node` names this machine for
    the quorum (default: the host name).

    `failure` says which exceptions count, `failure_result` which returned values do. `fallback` is what refused
    calls return instead of raising CircuitOpenError: a value, a function of that error, or a `LastGood()`.
    `listeners` are notified of every change. Safe for threads, asyncio and forked processes.
    """

    def __init__(
        self,
        name: str,
        config: CircuitBreakerConfig | None = None,
        redis: redis.Redis | str | RedisLink | None = None,
        *,
        namespace: str = "trunkline",
        node: str | None = None,
        failure: FailurePredicate = is_failure,
        failure_result: Callable[[Any], bool] | None = None,
        fallback: Any = NO_FALLBACK,
        listeners: tuple[BreakerListener, ...] = (),
        clock: Clock = SYSTEM_CLOCK,
        server_time: ServerTime | None = None,
    ) -> None:
        if not name or len(name) > 200 or not name.isprintable():
            raise ConfigurationError(f"A breaker's name has 1 to 200 printable characters; {name!r} does not.")
        self.name = name
        self.config = config or CircuitBreakerConfig()
        self._failure = failure
        self._failure_result = failure_result
        self._fallback = fallback
        self._memory = fallback if isinstance(fallback, LastGood) else None
        self._announcer = Announcer(name, clock, listeners)
        store: Store = LocalStore(self.config, clock)
        if redis is not None:
            link = redis if isinstance(redis, RedisLink) else link_to(redis, clock)
            place = {"namespace": namespace, "node": _node_name(node)}
            remote = RedisStore(name, self.config, link.client, clock, server_time=server_time, **place)
            store = SharedStore(remote, link, self.config, clock)
        self._control = AdmissionControl(name, self.config, store, clock, self._announcer.announce)

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r}>"

    # -- calling ---------------------------------------------------------------------------------------------

    def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`fn(*args, **kwargs)`, if the breaker lets it through; else the fallback, or CircuitOpenError."""
        control = self._control
        try:
            admission = control.admit()
        except CircuitOpenError as refused:
            return cast(T, self._fall_back(refused, fn, args, kwargs))
        started = control.now()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            if self._failure(error):
                control.failed(admission, started)
            else:
                control.voided(admission)
            raise
        if self._failure_result is not None and self._failure_result(result):
            control.failed(admission, started)
        else:
            control.succeeded(admission, started)
            if self._memory is not None:
                self._memory.remember(fn, args, kwargs, result)
        return result

    async def acall(self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """`await fn(*args, **kwargs)` under the same rules; round trips run in a thread."""
        result: T
        try:
            async with self.permit():
                result = await fn(*args, **kwargs)
                if self._failure_result is not None and self._failure_result(result):
                    raise _BadResultError(result)
        except _BadResultError as bad:
            return cast(T, bad.result)
        except CircuitOpenError as refused:
            if refused.name != self.name:  # another breaker's, from inside fn
                raise
            answer = self._fall_back(refused, fn, args, kwargs)
            return cast(T, await answer if inspect.isawaitable(answer) else answer)
        if self._memory is not None:
            self._memory.remember(fn, args, kwargs, result)
        return result

    def permit(self) -> Permit:
        """A context manager around the use of the dependency: `with breaker.permit(): ...` (or `async with`)."""
        return Permit(self._control, self._failure)

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Decorate `fn`, a function or a coroutine function, so that its calls go through the breaker."""
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await self.acall(fn, *args, **kwargs)

            return cast(Callable[P, T], guarded_async)

        @functools.wraps(fn)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.call(fn, *args, **kwargs)

        return guarded

    # -- looking ---------------------------------------------------------------------------------------------

    def state(self) -> CircuitState:
        """The state, at most `snapshot_age` old. It stays OPEN after the open time until a call comes to probe."""
        return self.snapshot().state

    def snapshot(self) -> Snapshot:
        """Everything known about the state, at most `snapshot_age` old."""
        view = self._control.view
        if view is None or self._control.now() >= view.fresh_until:
            view = self._control.exchange()
        return view.snapshot

    def ready(self) -> bool:
        """Whether the next call may be let through, or may probe: for those who hold work back while it may not.

        Answers from a snapshot at most `snapshot_age` old, and reserves nothing.
        """
        snapshot = self.snapshot()
        if snapshot.state is CircuitState.CLOSED or snapshot.override is Override.DISABLED:
            return True
        view = self._control.view
        return view is None or view.wants_probe(self._control.now())

    def flush(self) -> None:
        """Report the successes that wait for the next exchange (before a process ends, say)."""
        self._control.exchange()

    # -- an operator's override ------------------------------------------------------------------------------

    def override(self, kind: Override, reason: str, *, duration: float | None = None, by: str = "") -> None:
        """Overrule the rules for `duration` seconds (None: until cleared). Raises BreakerStoreError if Redis is away.

        `OPEN` refuses every call. `CLOSED` closes it and lets every call through, whatever happens. `DISABLED` is
        shadow mode: count and change state by the rules, but never refuse a call.
        """
        for_ms = -1 if duration is None else max(1, int(duration * 1000))
        self._control.override(kind.value, for_ms=for_ms, reason=reason, by=by)

    def clear(self, reason: str = "cleared", *, by: str = "") -> None:
        """Take any override away and go on from the state underneath."""
        self._control.override("clear", for_ms=-1, reason=reason, by=by)

    def reset(self, reason: str = "reset", *, by: str = "") -> None:
        """Take any override away and close the breaker with all counts at 0."""
        self._control.override("reset", for_ms=-1, reason=reason, by=by)

    # -- inside ----------------------------------------------------------------------------------------------

    def _fall_back(
        self, refused: CircuitOpenError, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._fallback is NO_FALLBACK:
            raise refused
        if self._memory is not None:
            return self._memory.recall(fn, args, kwargs, refused)
        return self._fallback(refused) if callable(self._fallback) else self._fallback


class _BadResultError(Exception):
    """Carries a result that `failure_result` condemned out of the permit's block, where it counts as a failure."""

    def __init__(self, result: Any) -> None:
        super().__init__(result)
        self.result = result


def _node_name(node: str | None) -> str:
    name = node or socket.gethostname() or "node"
    return name.translate({ord(mark): "_" for mark in "=,:"})
