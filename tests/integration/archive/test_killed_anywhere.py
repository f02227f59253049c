"""A process killed between any two steps: what is there is whole, and the next run completes or redoes the rest."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from recovery.archive import LocalArchive
from recovery.archive.local import archive as local
from recovery.checkpoints import ahead, recovery_manager, store, writing
from tests.support.archive import scenario
from tests.support.archive.processes import exit_code

pytestmark = pytest.mark.processes

WRITES = local.CRASH_POINTS
DELETES = tuple(point for point in store.CRASH_POINTS if "delete" in point)
ASIDES = tuple(point for point in store.CRASH_POINTS if "aside" in point)
OBJECTS = scenario.CHUNKS + 2  # of one checkpoint: the pages, the index, the manifest


def kill(action: str, folder: Path, armed: str) -> None:
    assert exit_code(scenario.run, action, folder, armed) == -signal.SIGKILL, "the crash point was not reached"


def finish(action: str, folder: Path) -> None:
    assert exit_code(scenario.run, action, folder) == 0


def verified(folder: Path) -> int:
    """How many checkpoints there are; every one of them must verify."""
    found = scenario.open_store(folder)
    for checkpoint_id in found.ids():
        assert found.verify(checkpoint_id).ok
    return len(found.ids())


@pytest.mark.parametrize("point", WRITES)
def test_put(tmp_path: Path, point: str) -> None:
    kill("put", tmp_path, point)
    archive = LocalArchive(tmp_path / "archive")
    linked = point in {"archive.before-unlink", "archive.before-folder-fsync"}
    assert archive.exists(scenario.NAME) == linked
    if linked:
        assert archive.get(scenario.NAME, 10**6) == scenario.CONTENT
    finish("put", tmp_path)
    assert archive.get(scenario.NAME, 10**6) == scenario.CONTENT
    assert list((tmp_path / "archive" / ".tmp").iterdir()) == []


def test_set_aside(tmp_path: Path) -> None:
    finish("put", tmp_path)
    kill("aside", tmp_path, "archive.before-unlink")
    finish("aside", tmp_path)
    archive = LocalArchive(tmp_path / "archive")
    assert list(archive.list()) == []
    assert list(archive.list("quarantine")) == [f"quarantine/{scenario.NAME}"]


@pytest.mark.parametrize("point", writing.CRASH_POINTS)
def test_create(tmp_path: Path, point: str) -> None:
    finish("create", tmp_path)
    kill("create", tmp_path, point)
    assert verified(tmp_path) == (2 if point == "checkpoint.after-manifest" else 1)
    finish("create", tmp_path)
    assert verified(tmp_path) == (3 if point == "checkpoint.after-manifest" else 2)


@pytest.mark.parametrize("number", range(1, OBJECTS + 1))
def test_create_at_each_object(tmp_path: Path, number: int) -> None:
    kill("create", tmp_path, f"archive.before-folder-fsync:{number}")
    objects = len(list((tmp_path / "archive").glob("checkpoints/*/*")))
    assert number <= objects < number + ahead.DEPTH
    assert verified(tmp_path) == (1 if number == OBJECTS else 0)
    finish("create", tmp_path)
    assert verified(tmp_path) >= 1


@pytest.mark.parametrize("point", DELETES)
@pytest.mark.parametrize("number", [1, 2])
def test_cleanup(tmp_path: Path, point: str, number: int) -> None:
    for _ in range(8):
        finish("create", tmp_path)
    kill("cleanup", tmp_path, f"{point}:{number}")
    remaining = verified(tmp_path)
    assert 4 <= remaining <= 8
    finish("cleanup", tmp_path)
    assert verified(tmp_path) == 4  # the newest three, and the base of the oldest of them


@pytest.mark.parametrize("point", [*ASIDES, f"{ASIDES[-1]}:2"])
def test_quarantine(tmp_path: Path, point: str) -> None:
    finish("create", tmp_path)
    finish("create", tmp_path)
    kill("quarantine", tmp_path, point)
    assert verified(tmp_path) == (2 if "manifest" in point else 1)
    finish("quarantine", tmp_path)
    assert verified(tmp_path) == 1
    aside = list(LocalArchive(tmp_path / "archive").list("quarantine"))
    assert len(aside) == scenario.CHUNKS + 2


@pytest.mark.parametrize("point", recovery_manager.CRASH_POINTS)
def test_restore(tmp_path: Path, point: str) -> None:
    finish("create", tmp_path)
    state = (tmp_path / "live").read_bytes()
    (tmp_path / "live").write_bytes(b"lost")
    kill("restore", tmp_path, point)
    finish("restore", tmp_path)
    assert (tmp_path / "live").read_bytes() == state


def test_a_point_with_a_flag_file_kills_only_the_first_process(tmp_path: Path) -> None:
    armed = f"checkpoint.before-manifest@{tmp_path / 'flag'}"
    kill("create", tmp_path, armed)
    assert exit_code(scenario.run, "create", tmp_path, armed) == 0
    assert verified(tmp_path) == 1
