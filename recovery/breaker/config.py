"""The rules of one circuit breaker, checked when they are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from recovery.errors import ConfigurationError
from recovery.presets import BREAKER_PRESETS


@dataclass(frozen=True, slots=True)
class CircuitBreakerConfig:
    """When a breaker opens, how long it stays open and how it recovers. Times are seconds, rates are 0..1.

    The breaker opens after `failure_threshold` consecutive failures. Beside that it may watch a sliding window of
    `window` seconds: it opens when at least `minimum_calls` ended in it and `failure_rate` of them failed, or
    `slow_call_rate` of them took `slow_call_duration` or longer. (Names and rules follow resilience4j.)

    - `timeout`: how long it stays open. Each further trip without a healthy spell between multiplies it by
      `timeout_growth`, up to `max_timeout`; `timeout_jitter` lengthens it by a random share up to that.
    - `success_threshold`: successful probes that close it; `half_open_probes`: most probes in flight, over the
      whole fleet; `probe_lease`: a probe that has not reported by then is taken as lost. Make it longer than the
      slowest honest call.
    - `quorum`: distinct nodes that must have seen failures within `window` before it opens for all. Above 1, a
      process that alone sees failures opens only its own view.
    - `ramp`: for that long after closing only a share of the calls passes, growing evenly from `ramp_start` to 1.
    - `snapshot_age`: how old a process's copy of the shared state may get before a call refreshes it.
    - `retention`: how long Redis keeps the state of a breaker that nobody uses.

    Raises ConfigurationError for values that make no sense.
    """

    failure_threshold: int = 5
    timeout: float = 30.0
    success_threshold: int = 2
    failure_rate: float | None = None
    slow_call_rate: float | None = None
    slow_call_duration: float | None = None
    window: float = 60.0
    minimum_calls: int = 20
    half_open_probes: int = 1
    probe_lease: float = 10.0
    quorum: int = 1
    timeout_growth: float = 1.0
    max_timeout: float = 600.0
    timeout_jitter: float = 0.0
    ramp: float = 0.0
    ramp_start: float = 0.1
    snapshot_age: float = 0.1
    retention: float = 7 * 86_400.0

    def __post_init__(self) -> None:
        for name in ("failure_threshold", "success_threshold", "minimum_calls", "half_open_probes", "quorum"):
            self._require(name, isinstance(getattr(self, name), int) and getattr(self, name) >= 1, "at least 1")
        for name in ("timeout", "window", "probe_lease", "snapshot_age", "max_timeout", "retention"):
            self._require(name, getattr(self, name) >= 0.001, "at least 0.001 seconds")
        for name in ("failure_rate", "slow_call_rate"):
            rate = getattr(self, name)
            self._require(name, rate is None or 0 < rate <= 1, "above 0 and at most 1")
        self._require("slow_call_duration", (self.slow_call_duration or 1) > 0, "above 0")
        self._require(
            "slow_call_rate",
            (self.slow_call_rate is None) == (self.slow_call_duration is None),
            "given together with slow_call_duration",
        )
        self._require("timeout_growth", self.timeout_growth >= 1, "at least 1")
        self._require("timeout_jitter", 0 <= self.timeout_jitter <= 1, "from 0 to 1")
        self._require("ramp", self.ramp >= 0, "0 or more")
        self._require("ramp_start", 0 < self.ramp_start <= 1, "above 0 and at most 1")

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ConfigurationError(f"CircuitBreakerConfig.{name} must be {rule}, not {getattr(self, name)!r}.")

    @property
    def watches_rates(self) -> bool:
        """True when a sliding window is kept."""
        return self.failure_rate is not None or self.slow_call_rate is not None

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """The preset `name` of `recovery.presets.BREAKER_PRESETS`, with `changes` to single fields.

        Raises ConfigurationError when there is no such preset.
        """
        if name not in BREAKER_PRESETS:
            raise ConfigurationError(f"No breaker preset {name!r}; there are: {', '.join(sorted(BREAKER_PRESETS))}.")
        return cls(**{**BREAKER_PRESETS[name], **changes})
