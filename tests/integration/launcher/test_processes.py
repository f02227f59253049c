"""A supervised child: what happens to its own children, its log and its restarts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import gone, wait_until
from workers.supervisor import processes
from workers.supervisor.guard import Guard
from workers.supervisor.processes import Backoff, Child, stop_children

pytestmark = pytest.mark.processes

#: Prints the pid of a child of its own and waits; a Celery worker with a pool in small.
WITH_OFFSPRING = "sleep 600 & echo $!; wait"


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


def _child(folder: Path, script: str) -> Child:
    return Child("shell", ["/bin/sh", "-c", script], log_folder=folder, environment=os.environ, cwd=folder)


def _offspring(child: Child) -> int:
    wait_until(lambda: child.log.exists() and child.log.read_text().endswith("\n"), "the child has started its own")
    return int(child.log.read_text().split()[-1])


def test_offspring_dies_with_a_child_that_was_killed_alone(tmp_path: Path, guard: Guard) -> None:
    child = _child(tmp_path, WITH_OFFSPRING)
    child.start(guard)
    offspring = _offspring(child)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: child.pid is None, "the child has ended")
    assert not gone(offspring)
    assert child.reap(guard) == -signal.SIGKILL
    wait_until(lambda: gone(offspring), "its offspring too")


def test_killing_takes_the_whole_group(tmp_path: Path, guard: Guard) -> None:
    child = _child(tmp_path, WITH_OFFSPRING)
    child.start(guard)
    offspring = _offspring(child)
    child.kill()
    wait_until(lambda: child.pid is None and gone(offspring), "child and offspring are dead")


def test_what_does_not_end_softly_is_killed_and_named(tmp_path: Path, guard: Guard) -> None:
    stubborn = _child(tmp_path, "trap '' TERM; " + WITH_OFFSPRING)
    stubborn.start(guard)
    offspring = _offspring(stubborn)
    assert stop_children([stubborn], guard, patience=0.1, hurry=threading.Event()) == ["shell"]
    wait_until(lambda: gone(offspring), "offspring is dead")


def test_guard_that_closes_ends_what_was_never_released(tmp_path: Path) -> None:
    guard = Guard()
    child = _child(tmp_path, WITH_OFFSPRING)
    child.start(guard)
    offspring = _offspring(child)
    guard.close()
    wait_until(lambda: child.pid is None and gone(offspring), "child and offspring are dead")


def test_command_that_does_not_exist_says_so_in_the_log(tmp_path: Path, guard: Guard) -> None:
    child = Child("none", ["/no/such/program"], log_folder=tmp_path, environment=os.environ, cwd=tmp_path)
    child.start(guard)
    wait_until(lambda: child.pid is None, "it ends")
    assert child.reap(guard) == 127
    assert "/no/such/program" in child.log.read_text()


def test_long_log_is_set_aside_at_a_start(tmp_path: Path, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 10)
    (tmp_path / "shell.log").write_text("more than ten bytes\n")
    child = _child(tmp_path, "echo new")
    child.start(guard)
    wait_until(lambda: child.pid is None, "it ends")
    assert child.log.read_text() == "new\n"
    assert (tmp_path / "shell.log.1").read_text() == "more than ten bytes\n"


def test_backoff_doubles_up_to_its_bound_and_forgets_after_a_long_life() -> None:
    backoff = Backoff(first=0.5, longest=2.0, long_life=30.0)
    assert [backoff.after(1.0) for _ in range(4)] == [0.5, 1.0, 2.0, 2.0]
    assert backoff.after(31.0) == 0.5
    assert backoff.after(1.0) == 1.0
