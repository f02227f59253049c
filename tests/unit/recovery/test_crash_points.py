from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import get_settings
from recovery import crash_points
from recovery.errors import ConfigurationError


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that would have ended this process."""
    signals: list[int] = []
    monkeypatch.setattr("recovery.crash_points.os.kill", lambda _, number: signals.append(number))
    yield signals
    crash_points.arm("")


def test_an_armed_point_kills_and_others_do_not(killed: list[int]) -> None:
    crash_points.arm("a, b:3")
    crash_points.reach("c")
    assert killed == []
    crash_points.reach("a")
    assert killed == [signal.SIGKILL]


def test_the_nth_pass_kills_and_no_other(killed: list[int]) -> None:
    crash_points.arm("b:3")
    counts = []
    for _ in range(5):
        crash_points.reach("b")
        counts.append(len(killed))
    assert counts == [0, 0, 1, 1, 1]


def test_a_flag_file_makes_it_once_for_all_processes(killed: list[int], tmp_path: Path) -> None:
    for expected in (1, 1):
        crash_points.arm(f"a@{tmp_path / 'flag'}")  # as another process would start
        crash_points.reach("a")
        assert len(killed) == expected
    assert (tmp_path / "flag").exists()


def test_points_come_from_the_settings(killed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_CRASH_POINTS", "a")
    get_settings.cache_clear()
    monkeypatch.setattr(crash_points, "_armed", None)
    crash_points.reach("a")
    get_settings.cache_clear()
    assert killed == [signal.SIGKILL]


@pytest.mark.parametrize("text", [":1", "a:0", "a:x", "a:-1", "@f"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="TRUNKLINE_CRASH_POINTS"):
        crash_points.arm(text)
