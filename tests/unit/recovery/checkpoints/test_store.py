from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from recovery.archive import AlreadyExists, ArchiveReadError, ArchiveUnavailable, ArchiveWriteError, MemoryArchive
from recovery.checkpoints import (
    BadCheckpoint,
    Batch,
    CheckpointError,
    CheckpointStore,
    Part,
    UnknownCheckpoint,
    WriteOptions,
    next_base,
    pack_records,
    unpack_records,
)
from recovery.checkpoints.parts import MAX_BATCH_BYTES
from recovery.clock import ManualClock
from recovery.identity import Identity
from tests.support.checkpoints import MODES, accounts, contents, sample_parts, save


def test_what_was_saved_is_read_back_batch_by_batch(store: CheckpointStore) -> None:
    made = save(store, 7)
    assert contents(store, made.id) == [{"ledger/accounts": accounts(7), "modes": list(MODES), "empty": []}]
    assert store.manifest(made.id) == made
    assert (made.sequence, made.kind, made.depth, made.records, made.facts) == (7, "full", 0, 7, {"slot": 7})
    report = store.verify(made.id)
    assert (report.ok, report.records, report.raw_bytes) == (True, 7, made.raw_bytes)


def test_an_incremental_is_restored_on_top_of_its_bases(store: CheckpointStore) -> None:
    full = save(store, 1)
    first = save(store, 2, base=full.id)
    second = save(store, 2, base=first.id)
    assert [layer.manifest.id for layer in store.layers(second.id)] == [full.id, first.id, second.id]
    assert [layer["ledger/accounts"] for layer in contents(store, second.id)] == [accounts(n) for n in (1, 2, 2)]
    assert [store.manifest(key).depth for key in store.ids()] == [0, 1, 2]
    with pytest.raises(CheckpointError, match="full checkpoint"):
        save(store, 4, base=second.id)


def test_an_incremental_is_not_older_than_its_base(store: CheckpointStore) -> None:
    full = save(store, 5)
    with pytest.raises(CheckpointError, match="ahead"):
        save(store, 4, base=full.id)
    with pytest.raises(UnknownCheckpoint):
        save(store, 6, base="000000000005-00000000-00000000")


def test_checkpoints_are_ordered_by_sequence_then_time(store: CheckpointStore, clock: ManualClock) -> None:
    made = []
    for sequence in (5, 10, 10, 100):
        made.append(save(store, sequence).id)
        clock.advance(1)
    assert store.ids() == made


def test_large_parts_are_streamed_not_collected(archive: MemoryArchive, identity: Identity) -> None:
    """At no time are more chunks alive than the few that are worked on ahead."""
    store = CheckpointStore(archive, identity, options=WriteOptions(chunk_bytes=1000))
    made = taken = 0

    def batches() -> Iterator[Batch]:
        nonlocal made
        for _ in range(200):
            made += 1
            assert made - len(list(archive.list())) < 12
            yield Batch(bytes(900), 9)

    manifest = store.create(sequence=1, parts=[Part("big", batches())])
    for _ in store.layers(manifest.id)[0].read("big"):
        taken += 1
    assert (made, taken, len(manifest.parts[0].chunks)) == (200, 200, 200)


def test_facts_are_asked_for_after_the_parts_were_read(store: CheckpointStore) -> None:
    total = 0

    def batches() -> Iterator[Batch]:
        nonlocal total
        for _ in range(3):
            total += 10
            yield Batch(b"x", 1)

    made = store.create(sequence=1, parts=[Part("sum", batches())], facts=lambda: {"lamports": total})
    assert made.facts == {"lamports": 30}


@pytest.mark.parametrize(
    "facts",
    [{"A": 1}, {"a": 2**64}, {"a": -(2**63) - 1}, {"a": True}, {"a": "x" * 2000}, {"a": None}, {"": 1}, {"a": 1.5}],
)
def test_facts_that_json_would_bend_are_refused_and_nothing_stays(
    store: CheckpointStore, archive: MemoryArchive, facts: Any
) -> None:
    with pytest.raises(CheckpointError):
        store.create(sequence=1, parts=sample_parts(), facts=facts)
    assert list(archive.list()) == []


def test_the_largest_numbers_survive(store: CheckpointStore) -> None:
    facts: dict[str, int | str] = {"most": 2**64 - 1, "least": -(2**63), "text": 'ü"\n\0'}
    assert store.manifest(store.create(sequence=10**12 - 1, parts=(), facts=facts).id).facts == facts


@pytest.mark.parametrize("name", ["", "A", "a/b/c/d", "../a", "a//b", "a.b", "x" * 40])
def test_bad_part_names_are_refused(store: CheckpointStore, name: str) -> None:
    with pytest.raises(CheckpointError):
        store.create(sequence=1, parts=[Part(name, MODES)])


def test_two_parts_of_one_name_and_oversized_batches_are_refused(store: CheckpointStore) -> None:
    with pytest.raises(CheckpointError, match="modes"):
        store.create(sequence=1, parts=[Part("modes", MODES), Part("modes", MODES)])
    with pytest.raises(CheckpointError, match="bytes"):
        store.create(sequence=1, parts=[Part("big", [Batch(bytes(MAX_BATCH_BYTES + 1), 1)])])
    with pytest.raises(CheckpointError):
        store.create(sequence=10**12, parts=())


def test_a_batch_of_the_largest_size_is_stored(archive: MemoryArchive, identity: Identity) -> None:
    store = CheckpointStore(archive, identity)
    made = store.create(sequence=1, parts=[Part("big", [Batch(bytes(MAX_BATCH_BYTES), 1)])])
    assert store.verify(made.id).ok


def test_a_failing_source_leaves_nothing_behind(store: CheckpointStore, archive: MemoryArchive) -> None:
    def batches() -> Iterator[Batch]:
        yield from accounts(1)
        raise RuntimeError("the ledger is gone")

    with pytest.raises(RuntimeError, match="the ledger is gone"):
        store.create(sequence=1, parts=[Part("a", accounts(0)), Part("b", batches())])
    assert list(archive.list()) == []
    assert store.ids() == []


def test_a_base_deleted_meanwhile_leaves_no_orphan(store: CheckpointStore) -> None:
    full = save(store, 1)

    def batches() -> Iterator[Batch]:
        store.delete(full.id)
        yield Batch(b"x", 1)

    with pytest.raises(CheckpointError, match="deleted"):
        store.create(sequence=2, parts=[Part("a", batches())], base=full.id)
    assert store.ids() == []


def test_a_writer_that_was_paused_too_long_gives_up(store: CheckpointStore, clock: ManualClock) -> None:
    def batches() -> Iterator[Batch]:
        clock.advance(1801)
        yield Batch(b"x", 1)

    with pytest.raises(CheckpointError, match="took longer"):
        store.create(sequence=1, parts=[Part("a", batches())])


def test_records_are_packed_and_unpacked_in_order() -> None:
    records = [bytes([n % 251]) * (n % 3000) for n in range(2000)]
    batches = list(pack_records(iter(records)))
    assert len(batches) > 5
    assert [record for batch in batches for record in unpack_records(batch)] == records
    assert list(pack_records([])) == []
    with pytest.raises(BadCheckpoint):
        unpack_records(Batch(b"\xff", 1))
    with pytest.raises(BadCheckpoint):
        unpack_records(Batch(batches[0].data, batches[0].records + 1))


def test_a_deleted_checkpoint_is_gone_and_a_set_aside_one_is_kept(
    store: CheckpointStore, archive: MemoryArchive
) -> None:
    first, second = save(store, 1), save(store, 2)
    store.quarantine(first.id)
    store.delete(second.id)
    store.delete(second.id)
    assert store.ids() == []
    assert list(archive.list()) == []
    assert len(list(archive.list("quarantine"))) == 1 + sum(len(part.chunks) for part in first.parts)
    with pytest.raises(UnknownCheckpoint):
        store.layers(first.id)


@pytest.mark.parametrize("name", ["", "x", "../../etc/passwd", "000000000001-00000000-0000000g", "1-2-3"])
def test_texts_that_are_no_ids_are_unknown_checkpoints(store: CheckpointStore, name: str) -> None:
    for call in (store.verify, store.manifest, store.layers, store.delete, store.quarantine):
        with pytest.raises(UnknownCheckpoint):
            call(name)


class TestNextBase:
    def test_full_first_then_at_most_two_incrementals(self, store: CheckpointStore) -> None:
        kinds = []
        for sequence in range(7):
            base = next_base(store, outgrown=100)
            kinds.append(save(store, sequence, base=base.id if base else None).kind[0])
        assert "".join(kinds) == "fiifiif"

    def test_full_again_when_the_incrementals_have_outgrown_it(self, store: CheckpointStore) -> None:
        full = save(store, 1)
        assert next_base(store) == full
        save(store, 2, base=full.id)
        assert next_base(store) is None

    def test_full_when_the_newest_cannot_be_trusted(self, store: CheckpointStore, archive: MemoryArchive) -> None:
        name = f"checkpoints/{save(store, 1).id}/checkpoint.manifest"
        data = archive.get(name, 10**6)
        archive.delete(name)
        archive.put(name, data[:-1])
        assert next_base(store) is None


class TestNewestVerified:
    def test_none_when_there_is_none(self, store: CheckpointStore) -> None:
        assert store.newest_verified() is None

    def test_bad_ones_are_passed_over_reported_and_kept(self, store: CheckpointStore, archive: MemoryArchive) -> None:
        good = save(store, 1)
        bad = save(store, 2)
        archive.delete(f"checkpoints/{bad.id}/part-00-000000.zst")
        reports: list[str] = []
        found = next(store.verified_newest_first(lambda report: reports.append(report.explain())), None)
        assert found == good == store.newest_verified()
        assert "part-00-000000.zst is missing" in reports[0]
        assert store.ids() == [good.id, bad.id]

    def test_a_bad_base_spoils_its_incrementals(self, store: CheckpointStore, archive: MemoryArchive) -> None:
        older = save(store, 1)
        full = save(store, 2)
        incremental = save(store, 3, base=full.id)
        archive.delete(f"checkpoints/{full.id}/part-01-000000.zst")
        assert store.newest_verified() == older
        assert "its base" in store.verify(incremental.id).explain()

    def test_a_replaced_base_is_not_accepted(
        self, store: CheckpointStore, archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same id, signed by the same key, other content: the link's digest tells."""
        full = save(store, 1)
        incremental = save(store, 2, base=full.id)
        store.delete(full.id)
        monkeypatch.setattr("recovery.checkpoints.ids.new_id", lambda *_: full.id)
        store.create(sequence=1, parts=sample_parts(99))
        assert store.verify(full.id).ok
        assert not store.verify(incremental.id).ok
        with pytest.raises(BadCheckpoint, match="not the one"):
            store.layers(incremental.id)

    def test_an_unreadable_archive_is_not_taken_for_a_bad_one(
        self, store: CheckpointStore, archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(store, 1)

        def fail(name: str, max_bytes: int) -> bytes:
            raise ArchiveReadError("network")

        monkeypatch.setattr(archive, "get", fail)
        with pytest.raises(ArchiveUnavailable, match="network"):
            store.newest_verified()


def test_no_success_is_reported_when_the_manifest_cannot_be_written(
    store: CheckpointStore, archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = archive.put

    def fail(name: str, data: bytes) -> None:
        if name.endswith(".manifest"):
            raise ArchiveWriteError("disk full")
        put(name, data)

    monkeypatch.setattr(archive, "put", fail)
    with pytest.raises(ArchiveWriteError):
        save(store, 1)
    assert store.ids() == []


def test_a_manifest_whose_answer_was_lost_is_still_a_success(
    store: CheckpointStore, archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object store may have stored the first PUT although its answer never came; the retry finds it there."""
    put = archive.put

    def stored_and_refused(name: str, data: bytes) -> None:
        put(name, data)
        raise AlreadyExists(name)

    monkeypatch.setattr(archive, "put", stored_and_refused)
    assert store.verify(save(store, 1).id).ok
