"""What follows a failed attempt, and who decides it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from recovery.retry.backoff import Uniform
from recovery.retry.events import Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after a failed attempt: `verdict`, and the seconds to wait when it is RETRY."""

    verdict: Verdict
    delay: float = 0.0


class RetryDecider(Protocol):
    """The part of a `RetryPolicy` that the loop around the attempts uses."""

    @property
    def max_attempts(self) -> int:
        """Attempts at most, the first one included."""

    def may_start(self, elapsed: float) -> bool:
        """False when, `elapsed` seconds after the first attempt began, no other may begin."""

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
