"""What is checkpointed together with the ledger: degradation modes and breaker overrides, an operator's decisions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from recovery.breaker import BreakerStatus, CircuitBreaker, Override
from recovery.checkpoints import Manifest, Part, pack_records, unpack_records
from recovery.checkpoints.components import ComponentLayer
from recovery.checkpoints.errors import RestoreRefused
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.degradation import DegradationManager

_PART = "table"


class _SmallComponent(ABC):
    """A component that fits in one record and gives it whole every time."""

    def __init__(self) -> None:
        self._restored: Any = None

    @abstractmethod
    def dump(self) -> Any:
        """Plain data to keep."""

    @abstractmethod
    def load(self, dumped: Any) -> None:
        """Bring plain data back, where nothing newer is there."""

    def checkpoint_parts(self, base: Manifest | None) -> Iterable[Part]:  # noqa: ARG002
        yield Part(_PART, pack_records([msgspec.json.encode(self.dump())]))

    def restore_parts(self, layers: Sequence[ComponentLayer]) -> None:
        self._restored = None
        for layer in layers:
            if _PART not in layer.part_names:
                continue
            for batch in layer.read(_PART):
                try:
                    self._restored = msgspec.json.decode(unpack_records(batch)[0])
                except (msgspec.DecodeError, IndexError) as error:
                    raise RestoreRefused(f"its part of {type(self).__name__} cannot be read: {error}") from error

    def activate_restored(self) -> None:
        if self._restored is not None:
            self.load(self._restored)

    def discard_restored(self) -> None:
        self._restored = None


class ModesComponent(_SmallComponent):
    """The degradation modes in force. What the fleet still knows is newer and stays."""

    def __init__(self, manager: DegradationManager) -> None:
        super().__init__()
        self._manager = manager

    def dump(self) -> Any:
        return self._manager.dump()

    def load(self, dumped: Any) -> None:
        self._manager.load(dumped)


class OverridesComponent(_SmallComponent):
    """The overrides that operators gave the breakers; their states are not kept: each breaker measures anew."""

    def __init__(
        self,
        breakers: Callable[[], Sequence[BreakerStatus]],
        breaker: Callable[[str], CircuitBreaker],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__()
        self._breakers = breakers
        self._breaker = breaker
        self._clock = clock

    def dump(self) -> Any:
        return [self._row(status) for status in self._breakers() if status.override]

    def load(self, dumped: Any) -> None:
        overruled = {status.name for status in self._breakers() if status.override}
        for row in dumped:
            left = None if row["until"] is None else row["until"] - self._clock.time()
            if left is not None:
                # Longer than when it was noted: this host's clock is behind that one's.
                left = min(left, row.get("left", left))
            if row["name"] in overruled or (left is not None and left <= 0):
                continue
            breaker = self._breaker(row["name"])
            breaker.override(Override(row["override"]), row["reason"], duration=left, by=row["by"])

    def _row(self, status: BreakerStatus) -> dict[str, Any]:
        ends = status.override_ends_in
        return {
            "name": status.name,
            "override": str(status.override),
            "reason": status.override_reason,
            "by": status.override_by,
            "until": None if ends is None else self._clock.time() + ends,
            "left": ends,
        }
