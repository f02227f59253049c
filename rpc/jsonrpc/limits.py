"""Limits per network address, so that one client cannot use up the server."""

from __future__ import annotations

from collections import Counter, OrderedDict

from recovery.clock import SYSTEM_CLOCK, Clock
from rpc.jsonrpc.errors import Overloaded

_MAX_ADDRESSES = 10_000


class _Buckets:
    """Token buckets by address; the least recently used are forgotten, which only favours their owners."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> float:
        """0 when there was a token, else the seconds until there is one."""
        now = self._clock.monotonic()
        level, at = self._levels.get(address, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        wait = 0.0 if level >= 1 else (1 - level) / self._rate
        self._levels[address] = (level - 1 if wait == 0.0 else level, now)
        self._levels.move_to_end(address)
        if len(self._levels) > _MAX_ADDRESSES:
            self._levels.popitem(last=False)
        return wait


class Limits:
    """Calls and airdrops per address, websockets per address, requests at work altogether."""

    def __init__(
        self,
        *,
        calls_per_second: float,
        airdrops_per_minute: int,
        connections: int,
        in_flight: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._calls = _Buckets(calls_per_second, max(1.0, calls_per_second), clock) if calls_per_second else None
        self._airdrops = _Buckets(airdrops_per_minute / 60, airdrops_per_minute, clock) if airdrops_per_minute else None
        self._connections = connections
        self._open: Counter[str] = Counter()
        self._in_flight = in_flight
        self.at_work = 0

    def spend(self, address: str) -> None:
        """Count one call. Raises Overloaded."""
        if self._calls is not None and (wait := self._calls.take(address)):
            raise Overloaded("Too many requests from your address, slow down", retry_after=wait)

    def spend_airdrop(self, address: str) -> None:
        """Count one airdrop. Raises Overloaded."""
        if self._airdrops is not None and (wait := self._airdrops.take(address)):
            raise Overloaded("Too many airdrops to your address, slow down", retry_after=wait)

    def begin(self) -> None:
        """Count a request that is now at work; pair it with `end`. Raises Overloaded."""
        if self.at_work >= self._in_flight:
            raise Overloaded("The server is busy")
        self.at_work += 1

    def end(self) -> None:
        self.at_work -= 1

    def connect(self, address: str) -> bool:
        """Count an open websocket; False when the address has too many. Pair with `disconnect` when True."""
        if self._open[address] >= self._connections:
            return False
        self._open[address] += 1
        return True

    def disconnect(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
