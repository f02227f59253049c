"""Runs the schedule against an instance: inject, heal, wait until it works again, note it all."""

from __future__ import annotations

import heapq
import random
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import redis

from tests.chaos.harness.instance import Instance
from tests.chaos.history import History
from tests.chaos.nemesis.kinds import KINDS, Fault
from tests.chaos.nemesis.schedule import Cycle, Strike

#: Seconds after which a healed instance that processes nothing has failed.
BOUND = 90.0
#: Seconds after which an operator tells rules that flapped that all is well: they stay strict for ten minutes.
EASED_AFTER = 10.0
#: Seconds of peace between two cycles.
_PEACE = 0.6

#: Sends a transaction and returns True once it is processed, False when it was not within some seconds.
Canary = Callable[[], bool]


class NotRecovered(Exception):
    """It did not process anything for `BOUND` seconds after everything was healed."""


@dataclass
class Storm:
    """One run of the nemesis."""

    instance: Instance
    history: History
    canary: Canary
    say: Callable[[str], None] = print

    def run(self, schedule: Iterable[Cycle], until: float) -> int:
        """Cycles until the monotonic time `until`; returns how many. Raises NotRecovered."""
        count = 0
        for cycle in schedule:
            if time.monotonic() >= until:
                break
            self.cycle(cycle)
            count += 1
        return count

    def cycle(self, cycle: Cycle) -> None:
        """The faults of one cycle, and the recovery after them."""
        began = time.monotonic()
        # (when, order, what is to be done): a heap, because a heal is known only once its fault is injected.
        agenda: list[tuple[float, int, Strike, _Struck | None]] = []
        for order, strike in enumerate(cycle.strikes):
            heapq.heappush(agenda, (began + strike.at, order, strike, None))
        done: list[_Struck] = []
        while agenda:
            when, order, strike, struck = heapq.heappop(agenda)
            time.sleep(max(0.0, when - time.monotonic()))
            if struck is None:
                struck = self._inject(strike)
                heapq.heappush(agenda, (time.monotonic() + strike.seconds, order, strike, struck))
            else:
                self._heal(struck)
                done.append(struck)
        self._do("heal", self.instance.heal)
        seconds = self._recover(cycle)
        self._wait_for_rpc(cycle)
        for struck in done:
            self._note(cycle, struck, seconds)
        names = ", ".join(
            f"{one.strike.kind}({one.fault.target})" if one.fault.target else one.strike.kind for one in done
        )
        self.say(
            f"cycle {cycle.number:3d}  recovered in {seconds:5.1f} s  after {time.monotonic() - began:5.1f} s  {names}"
        )
        time.sleep(_PEACE)

    def _inject(self, strike: Strike) -> _Struck:
        fault = KINDS[strike.kind].make(self.instance, random.Random(strike.seed))
        struck = _Struck(strike, fault, time.monotonic())
        struck.trouble = self._do(strike.kind, fault.inject)
        struck.injected = time.monotonic()
        return struck

    def _heal(self, struck: _Struck) -> None:
        struck.trouble += self._do(struck.strike.kind, struck.fault.heal)
        struck.healed = time.monotonic()

    def _do(self, what: str, work: Callable[[], None]) -> str:
        """Two faults together may keep each other from working (Redis is down): that is told, and no verdict."""
        try:
            work()
        except (redis.RedisError, OSError, LookupError, ValueError, subprocess.SubprocessError) as error:
            self.say(f"          {what}: {type(error).__name__}: {error}"[:150])
            return f"{type(error).__name__}: {error}"[:150]
        return ""

    def _recover(self, cycle: Cycle) -> float:
        """Seconds until a transaction that was sent now was processed."""
        began = time.monotonic()
        eased, easing = False, 0.0
        while not self.canary():
            # What the operator's commands take on a busy machine is nobody's recovery.
            waited = time.monotonic() - began - easing
            if waited > BOUND:
                self.history.note("stuck", cycle=cycle.number, kinds=[one.kind for one in cycle.strikes])
                raise NotRecovered(f"nothing is processed {BOUND:g} s after cycle {cycle.number}: {cycle}")
            if waited > EASED_AFTER and not eased:
                eased = True
                self.history.note("eased", cycle=cycle.number)
                begun = time.monotonic()
                with suppress(OSError, subprocess.SubprocessError):
                    self.instance.ease_rules()
                easing = time.monotonic() - begun
            time.sleep(0.05)
        return time.monotonic() - began - easing

    def _wait_for_rpc(self, cycle: Cycle) -> None:
        """The RPC server may have to start, too: until it answers, its outage is not over. Raises NotRecovered."""
        deadline = time.monotonic() + BOUND
        while True:
            with suppress(OSError, ValueError):
                if "result" in self.instance.call("getSlot"):
                    return
            if time.monotonic() > deadline:
                self.history.note("stuck", cycle=cycle.number, kinds=["rpc"])
                raise NotRecovered(f"the RPC server does not answer {BOUND:g} s after cycle {cycle.number}: {cycle}")
            time.sleep(0.1)

    def _note(self, cycle: Cycle, struck: _Struck, seconds: float) -> None:
        fault, kind = struck.fault, KINDS[struck.strike.kind]
        self.history.note(
            "fault",
            cycle=cycle.number,
            name=kind.name,
            target=fault.target,
            t0=round(struck.began, 4),
            injected=round(struck.injected, 4),
            healed=round(struck.healed, 4),
            instant=type(fault).heal is Fault.heal,
            loses=kind.loses.value,
            since=fault.since,
            lost_at=fault.lost_at,
            outage=kind.outage,
            damaged=fault.damaged,
            alone=len(cycle.strikes) == 1,
            recovery=round(seconds, 3),
            trouble=struck.trouble,
        )


@dataclass
class _Struck:
    strike: Strike
    fault: Fault
    began: float
    injected: float = 0.0
    healed: float = 0.0
    trouble: str = ""

    def __lt__(self, other: object) -> bool:
        return False
