from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recovery.archive import LocalArchive
from tests.support.archive import scenario
from tests.support.archive.processes import CONTEXT

PROCESSES = 8
NAMES = 150


@pytest.mark.processes
def test_of_eight_processes_exactly_one_creates_each_name(tmp_path: Path) -> None:
    archive = LocalArchive(tmp_path / "archive")
    barrier = CONTEXT.Barrier(PROCESSES)
    racers = [
        CONTEXT.Process(
            target=scenario.race, args=(archive.root, number, NAMES, barrier.wait, tmp_path / f"won-{number}")
        )
        for number in range(PROCESSES)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0] * PROCESSES
    won = {number: (tmp_path / f"won-{number}").read_text().split() for number in range(PROCESSES)}
    assert sorted(name for names in won.values() for name in names) == list(archive.list("race"))
    assert sum(map(len, won.values())) == NAMES
    for number, names in won.items():
        for name in names:
            assert archive.get(name, 1000) == b"%d" % number * 100
    assert list((archive.root / ".tmp").iterdir()) == []


def test_a_folder_removed_as_empty_does_not_disturb_a_writer(tmp_path: Path) -> None:
    """Each deletion empties the folder, or would have, just as the others put into it."""
    archive = LocalArchive(tmp_path / "archive")

    def come_and_go(number: int) -> None:
        for _ in range(100):
            archive.put(f"deep/folder/{number}.block", b"x")
            assert archive.get(f"deep/folder/{number}.block", 1) == b"x"
            archive.delete(f"deep/folder/{number}.block")
            assert set(archive.list()) <= {f"deep/folder/{other}.block" for other in range(4)}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(4)))
    assert list(archive.list()) == []
    assert [path.name for path in archive.root.iterdir()] == [".tmp"]
