"""Spans between two readings of one clock, which may be set back, and of things that may not have begun."""

from __future__ import annotations

import math


def span(start: float | None, now: float) -> float | None:
    """How long ago `start` was at `now`, in their unit; 0 for a start that is still to come, None without a start.

    0, negative numbers and NaN are no start: counters that were never set read like that. Both readings must come
    from the same clock.
    """
    if start is None or not (start > 0 and math.isfinite(start) and math.isfinite(now)):
        return None
    return max(0, now - start)
