"""A span without a start is no span, and none is negative."""

from __future__ import annotations

import math

import pytest

from recovery.spans import span


@pytest.mark.parametrize("start", [None, 0, -1, math.nan, math.inf])
def test_without_a_start_there_is_no_span(start: float | None) -> None:
    assert span(start, 1_700_000_000) is None


def test_a_start_to_come_is_a_clock_set_back() -> None:
    assert span(1_700_003_600, 1_700_000_000) == 0


def test_otherwise_it_is_the_difference() -> None:
    assert span(1_700_000_000, 1_700_000_060) == 60
