from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from recovery.archive import (
    ArchiveUnavailable,
    ArchiveWriteError,
    LocalArchive,
    TooLarge,
    UnsafeArchive,
    open_archive,
)
from recovery.archive.base import MAX_OBJECT_BYTES
from recovery.clock import ManualClock
from tests.support.archive.contract import ArchiveContract


@pytest.fixture
def archive(tmp_path: Path) -> LocalArchive:
    return LocalArchive(tmp_path / "deep" / "archive")


class TestLocalArchive(ArchiveContract):
    @pytest.fixture
    def archive(self, tmp_path: Path) -> LocalArchive:
        return LocalArchive(tmp_path / "archive")


def test_files_and_folders_are_private(archive: LocalArchive) -> None:
    archive.put("a/b/x.blk", b"1")
    archive.set_aside("a/b/x.blk")
    archive.put("a/b/x.blk", b"1")
    for path in (archive.root, *archive.root.rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.lstat().st_mode) == expected, path


def test_no_temporary_file_stays(archive: LocalArchive) -> None:
    archive.put("a/x.blk", b"1")
    with pytest.raises(TooLarge):
        archive.put("a/y.blk", bytes(MAX_OBJECT_BYTES + 1))
    assert list((archive.root / ".tmp").iterdir()) == []


def test_an_archive_opens_by_url_and_finds_what_was_put(archive: LocalArchive) -> None:
    archive.put("a/x.blk", b"1")
    assert open_archive(archive.root.as_uri()).get("a/x.blk", 1) == b"1"


class TestSymbolicLinks:
    """An attacker who can create links in the archive gets neither reads nor writes outside of it."""

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        folder = tmp_path / "outside"
        folder.mkdir()
        (folder / "secret.blk").write_bytes(b"secret")
        return folder

    def test_a_linked_object_is_refused(self, archive: LocalArchive, outside: Path) -> None:
        archive.put("a/y.blk", b"")
        (archive.root / "a" / "x.blk").symlink_to(outside / "secret.blk")
        with pytest.raises(UnsafeArchive):
            archive.get("a/x.blk", 100)
        with pytest.raises(UnsafeArchive):
            archive.exists("a/x.blk")
        with pytest.raises(UnsafeArchive):
            archive.confirm("a/x.blk")

    def test_a_link_set_aside_or_deleted_leaves_its_target(self, archive: LocalArchive, outside: Path) -> None:
        archive.put("a/y.blk", b"")
        for remove in (archive.set_aside, archive.delete):
            (archive.root / "a" / "x.blk").symlink_to(outside / "secret.blk")
            remove("a/x.blk")
            assert not (archive.root / "a" / "x.blk").is_symlink()
        assert (outside / "secret.blk").read_bytes() == b"secret"

    def test_a_linked_folder_is_refused(self, archive: LocalArchive, outside: Path) -> None:
        (archive.root / "a").symlink_to(outside)
        for call in (
            lambda: archive.get("a/secret.blk", 100),
            lambda: archive.put("a/new.blk", b"1"),
            lambda: archive.put("a/b/new.blk", b"1"),
            lambda: archive.exists("a/secret.blk"),
            lambda: archive.delete("a/secret.blk"),
            lambda: archive.set_aside("a/secret.blk"),
            lambda: list(archive.list("a")),
            lambda: list(archive.list()),
            archive.folders,
        ):
            with pytest.raises(UnsafeArchive):
                call()
        assert [path.name for path in outside.iterdir()] == ["secret.blk"]

    def test_a_linked_temporary_folder_is_refused(self, archive: LocalArchive, outside: Path) -> None:
        (archive.root / ".tmp").rmdir()
        (archive.root / ".tmp").symlink_to(outside)
        with pytest.raises(UnsafeArchive):
            archive.put("a/x.blk", b"1")
        with pytest.raises(UnsafeArchive):
            archive.clean_leftovers()

    def test_a_linked_root_is_refused(self, archive: LocalArchive, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(archive.root)
        with pytest.raises(UnsafeArchive):
            LocalArchive(tmp_path / "link")

    def test_a_link_planted_at_the_new_name_keeps_it_taken(self, archive: LocalArchive, outside: Path) -> None:
        archive.put("a/y.blk", b"")
        (archive.root / "a" / "x.blk").symlink_to(outside / "created.blk")
        with pytest.raises(Exception, match=r"a/x\.blk"):
            archive.put("a/x.blk", b"1")
        assert not (outside / "created.blk").exists()


def test_a_pipe_or_folder_in_place_of_an_object_neither_hangs_nor_reads(archive: LocalArchive) -> None:
    archive.put("a/y.blk", b"")
    os.mkfifo(archive.root / "a" / "pipe.blk")
    (archive.root / "a" / "folder.blk").mkdir()
    for name in ("a/pipe.blk", "a/folder.blk"):
        with pytest.raises(UnsafeArchive):
            archive.get(name, 10)


def test_a_root_that_others_can_write_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "open"
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(UnsafeArchive, match="chmod go-w"):
        LocalArchive(root)


def test_a_root_that_vanished_or_was_swapped_is_not_taken_for_an_empty_archive(archive: LocalArchive) -> None:
    archive.put("a/x.blk", b"1")
    archive.root.rename(archive.root.with_name("moved"))
    for _ in range(2):
        for call in (
            lambda: archive.put("a/x.blk", b"2"),
            lambda: archive.get("a/x.blk", 1),
            lambda: archive.exists("a/x.blk"),
            lambda: list(archive.list()),
        ):
            with pytest.raises(ArchiveUnavailable):
                call()
        archive.root.mkdir(mode=0o700, exist_ok=True)


class TestLeftovers:
    @pytest.fixture
    def dead_pid(self) -> int:
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        return process.pid

    def plant(self, archive: LocalArchive, pid: int, age: float, clock: ManualClock) -> Path:
        path = archive.root / ".tmp" / f"{pid}-0123456789abcdef.tmp"
        path.write_bytes(b"half")
        os.utime(path, (clock.time() - age, clock.time() - age))
        return path

    @pytest.mark.parametrize(
        ("age", "alive", "stays"),
        [(59, False, True), (61, False, False), (86_000, True, True), (86_401, True, False)],
    )
    def test_only_those_of_dead_or_long_gone_writers_go(
        self, archive: LocalArchive, dead_pid: int, age: float, alive: bool, stays: bool
    ) -> None:
        clock = ManualClock()
        path = self.plant(archive, os.getpid() if alive else dead_pid, age, clock)
        LocalArchive(archive.root, clock=clock)
        assert path.exists() == stays

    def test_a_writer_whose_file_was_cleaned_away_reports_failure(
        self, archive: LocalArchive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def clean_everything(name: str) -> None:
            if name == "archive.before-link":
                for path in (archive.root / ".tmp").iterdir():
                    path.unlink()

        monkeypatch.setattr("recovery.archive.local.archive.reach", clean_everything)
        with pytest.raises(ArchiveWriteError):
            archive.put("a/x.blk", b"1")
        assert not archive.exists("a/x.blk")


def test_foreign_files_are_not_objects(archive: LocalArchive) -> None:
    archive.put("a/x.blk", b"1")
    (archive.root / "README").write_text("mine")
    (archive.root / "lost+found").mkdir()
    (archive.root / "a" / "X.blk").write_text("mine")
    assert list(archive.list()) == ["a/x.blk"]
