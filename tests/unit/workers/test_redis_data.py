"""Which server may open a data folder, by which one wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.supervisor.redis_binary import RedisBinary, Release
from workers.supervisor.redis_data import ForeignData, choose, prepare, write_mark, written_by


def binary(kind: str, *version: int) -> RedisBinary:
    return RedisBinary(f"/{kind}-{version[0]}.{version[1]}/server", Release(kind, version))


OLD, NEW, VALKEY = binary("redis", 6, 2, 14), binary("redis", 7, 0, 15), binary("valkey", 8, 1, 3)


def data(folder: Path, writer: Release | None, *, multi_part: bool = False) -> Path:
    if multi_part:
        (folder / "appendonlydir").mkdir()
    else:
        (folder / "appendonly.aof").write_text("*1\r\n")
    if writer is not None:
        write_mark(folder, writer)
    return folder


def test_an_empty_folder_takes_the_best_server(tmp_path: Path) -> None:
    write_mark(tmp_path, OLD.release)  # a start that failed has left its note, and no data
    assert choose(tmp_path, [NEW, OLD]).binary == NEW


def test_the_series_that_wrote_it_goes_before_the_path(tmp_path: Path) -> None:
    patched = binary("redis", 6, 2, 9)
    choice = choose(data(tmp_path, OLD.release), [NEW, patched])
    assert choice.binary == patched
    assert choice.moved_from is None


@pytest.mark.parametrize("newer", [NEW, VALKEY])
def test_a_newer_server_is_refused_until_asked_for(tmp_path: Path, newer: RedisBinary) -> None:
    folder = data(tmp_path, OLD.release)
    with pytest.raises(ForeignData, match=r"Redis 6\.2\.14.*no way back.*--move-redis"):
        choose(folder, [newer])
    choice = choose(folder, [newer, OLD], move=True)
    assert choice.binary == newer
    assert choice.moved_from == OLD.release


@pytest.mark.parametrize(
    ("writer", "here"),
    [
        (NEW.release, OLD),
        (VALKEY.release, NEW),
        (VALKEY.release, binary("redis", 9, 0, 0)),
        (Release("redis", (7, 4, 1)), VALKEY),
        (Release("valkey", (9, 0, 0)), VALKEY),
    ],
)
def test_what_cannot_read_the_data_never_gets_them(tmp_path: Path, writer: Release, here: RedisBinary) -> None:
    folder = data(tmp_path, writer)
    for move in (False, True):
        with pytest.raises(ForeignData, match="cannot read") as caught:
            choose(folder, [here], move=move)
        assert "--move-redis" not in str(caught.value)


def test_a_second_move_is_none(tmp_path: Path) -> None:
    said: list[str] = []
    folder = data(tmp_path, OLD.release)
    for _ in range(2):
        assert prepare(folder, [NEW, OLD], move=True, notify=said.append) == NEW
    assert len(said) == 1
    assert written_by(folder) == NEW.release


def test_data_from_before_the_note_tell_by_their_files(tmp_path: Path) -> None:
    single, multi, plain = (tmp_path / name for name in ("single", "multi", "plain"))
    for folder in (single, multi, plain):
        folder.mkdir()
    data(single, None)
    data(multi, None, multi_part=True)
    header = b"REDIS0011\xfa\tredis-ver\x067.2.10\xfa\nredis-bits\xc0@"
    (multi / "appendonlydir" / "appendonly.aof.1.base.rdb").write_bytes(header)
    data(plain, None, multi_part=True)
    assert written_by(single) == Release("redis", (6, 2))
    assert written_by(multi) == Release("redis", (7, 2, 10))
    assert written_by(plain) == Release("redis", (7, 0))


def test_an_unreadable_note_is_said(tmp_path: Path) -> None:
    data(tmp_path, None)
    (tmp_path / "server.json").write_text("{}")
    with pytest.raises(ForeignData, match=r"server\.json.*Write it anew"):
        written_by(tmp_path)


def test_data_that_cannot_be_copied_are_not_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data(tmp_path, OLD.release)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workers.supervisor.redis_data.shutil.copy2", full)
    with pytest.raises(Exception, match="No space left"):
        prepare(folder, [NEW], move=True, notify=print)
    assert written_by(folder) == OLD.release
    assert not list(folder.glob("kept-*"))
