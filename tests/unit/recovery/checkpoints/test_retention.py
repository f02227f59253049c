from __future__ import annotations

import pytest

from recovery.archive import ArchiveReadError, MemoryArchive
from recovery.checkpoints import CheckpointError, CheckpointStore
from recovery.clock import ManualClock
from tests.support.checkpoints import replace, save


def spoil(archive: MemoryArchive, checkpoint_id: str) -> None:
    replace(archive, f"checkpoints/{checkpoint_id}/part-00-000000.zst", b"")


def test_the_newest_stay_and_the_rest_goes(store: CheckpointStore, archive: MemoryArchive) -> None:
    made = [save(store, sequence).id for sequence in range(7)]
    report = store.cleanup(keep=4)
    assert store.ids() == list(report.kept) == made[3:]
    assert sorted(report.deleted) == made[:3]
    assert report.oldest_kept is not None
    assert report.oldest_kept.id == made[3]
    assert not [name for name in archive.list() if any(gone in name for gone in made[:3])]


def test_bases_of_kept_incrementals_stay(store: CheckpointStore) -> None:
    old = save(store, 0)
    full = save(store, 1)
    first = save(store, 2, base=full.id)
    second = save(store, 3, base=first.id)
    newest = [save(store, 4).id, save(store, 5).id]
    report = store.cleanup(keep=3)
    assert report.deleted == (old.id,)
    assert store.ids() == [full.id, first.id, second.id, *newest]
    assert report.oldest_kept == full
    assert all(store.verify(key).ok for key in store.ids())


def test_bad_ones_do_not_count_and_are_not_deleted_while_newer_than_the_oldest_kept(
    store: CheckpointStore, archive: MemoryArchive
) -> None:
    made = [save(store, sequence).id for sequence in range(6)]
    spoil(archive, made[4])
    spoil(archive, made[0])
    report = store.cleanup(keep=3)
    assert [bad.checkpoint_id for bad in report.bad] == [made[4]]
    assert store.ids() == [made[2], made[3], made[4], made[5]]


def test_nothing_goes_while_too_few_are_good(store: CheckpointStore, archive: MemoryArchive) -> None:
    made = [save(store, sequence).id for sequence in range(6)]
    for bad in made[2:]:
        spoil(archive, bad)
    report = store.cleanup(keep=3)
    assert store.ids() == made
    assert report.deleted == ()
    assert report.oldest_kept is None


def test_nothing_goes_while_some_cannot_be_read(
    store: CheckpointStore, archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [save(store, sequence).id for sequence in range(6)]
    get = archive.get

    def fail_for_the_newest(name: str, max_bytes: int) -> bytes:
        if made[-1] in name:
            raise ArchiveReadError("I/O error")
        return get(name, max_bytes)

    monkeypatch.setattr(archive, "get", fail_for_the_newest)
    assert store.cleanup(keep=3).deleted == ()


def test_fewer_than_three_cannot_be_asked_for(store: CheckpointStore) -> None:
    with pytest.raises(CheckpointError, match="at least 3"):
        store.cleanup(keep=2)
    with pytest.raises(CheckpointError):
        store.cleanup(keep=3, incomplete_seconds=3599)


def test_remains_of_killed_writers_go_after_a_while(
    store: CheckpointStore, archive: MemoryArchive, clock: ManualClock
) -> None:
    remains = save(store, 1).id
    archive.delete(f"checkpoints/{remains}/checkpoint.manifest")
    clock.advance(7200)
    assert store.cleanup().incomplete == ()
    clock.advance(1)
    assert store.cleanup().incomplete == (remains,)
    assert list(archive.list()) == []
