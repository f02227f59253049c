"""The shared log file: bounded, whole lines, nothing lost at a rotation, however many processes write."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.rotation import SharedLogFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "it.log"


@pytest.fixture
def made() -> Iterator[list[SharedLogFile]]:
    handlers: list[SharedLogFile] = []
    yield handlers
    for handler in handlers:
        handler.close()


def say(handler: SharedLogFile, text: str) -> None:
    handler.handle(logging.makeLogRecord({"msg": text}))


def lines(path: Path) -> list[str]:
    """All lines of all files, the oldest first."""
    files = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: -int(file.suffix[1:]))
    return [line for file in [*files, path] if file.exists() for line in file.read_text().splitlines()]


def test_it_is_bounded_and_keeps_the_newest(path: Path, made: list[SharedLogFile]) -> None:
    made.append(SharedLogFile(path, most_bytes=100, kept=2))
    for number in range(100):
        say(made[0], f"line {number:04}")
    assert sorted(file.name for file in path.parent.iterdir()) == ["it.log", "it.log.1", "it.log.2"]
    assert all(file.stat().st_size <= 100 for file in path.parent.iterdir())
    assert lines(path) == [f"line {number:04}" for number in range(100)][-len(lines(path)) :]
    assert len(lines(path)) > 20


def test_a_line_longer_than_a_file_is_written_whole(path: Path, made: list[SharedLogFile]) -> None:
    made.append(SharedLogFile(path, most_bytes=100, kept=2))
    for text in ("a" * 500, "b", "c" * 500):
        say(made[0], text)
    assert lines(path) == ["a" * 500, "b", "c" * 500]


def test_what_another_process_renamed_is_followed(path: Path, made: list[SharedLogFile]) -> None:
    """As logrotate does it, and as the other processes of an instance do."""
    made.append(SharedLogFile(path, most_bytes=10_000, kept=2))
    say(made[0], "before")
    path.rename(path.with_name("elsewhere"))
    say(made[0], "after")
    assert path.read_text() == "after\n"


def test_standard_output_follows_as_well(path: Path) -> None:
    """What is printed past logging (a crash of the interpreter) must not go into a file that was dropped."""
    program = f"""
import logging, os, sys
from pathlib import Path
from config.rotation import SharedLogFile
handler = SharedLogFile(Path({str(path)!r}), most_bytes=100, kept=1)
for number in range(50):
    handler.handle(logging.makeLogRecord({{"msg": f"line {{number}}"}}))
os.write(1, b"printed\\n"); os.write(2, b"shouted\\n")
"""
    path.parent.mkdir()
    with path.open("ab") as output:
        subprocess.run([sys.executable, "-c", program], stdout=output, stderr=output, check=True, cwd=Path.cwd())
    assert path.read_text().endswith("printed\nshouted\n")


def test_many_processes_lose_no_line(path: Path, made: list[SharedLogFile]) -> None:
    """Forked after the file was opened, as the pool of a worker is."""
    made.append(SharedLogFile(path, most_bytes=2_000, kept=500))
    children = []
    for child in range(4):
        pid = os.fork()
        if not pid:
            for number in range(500):
                say(made[0], f"{child} {number:04} " + "x" * 40)
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    written = lines(path)
    assert all(len(line) == 47 for line in written)
    for child in range(4):
        assert [line[2:6] for line in written if line.startswith(f"{child} ")] == [f"{n:04}" for n in range(500)]
    # Each may have looked before the others wrote.
    assert all(file.stat().st_size <= 2_000 + 4 * 48 for file in path.parent.iterdir())
