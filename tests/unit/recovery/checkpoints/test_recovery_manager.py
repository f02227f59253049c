from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from recovery.archive import ArchiveReadError, ArchiveUnavailable, MemoryArchive
from recovery.checkpoints import (
    BadCheckpoint,
    Batch,
    CheckpointStore,
    ComponentLayer,
    Manifest,
    NoUsableCheckpoint,
    Part,
    RestoreRefused,
    UnknownCheckpoint,
    pack_records,
    unpack_records,
)
from recovery.checkpoints.recovery_manager import RecoveryManager, RecoveryState
from recovery.clock import ManualClock
from tests.support.checkpoints import replace


class Counters:
    """A component whose state is a few counters; incremental checkpoints hold those that changed."""

    def __init__(self) -> None:
        self.live: dict[str, int] = {}
        self.changed: set[str] = set()
        self.staged: dict[str, int] | None = None
        self.refused: set[int] = set()

    def set(self, **values: int) -> None:
        self.live.update(values)
        self.changed.update(values)

    def checkpoint_parts(self, base: Manifest | None) -> Iterable[Part]:
        names = sorted(self.changed if base else self.live)
        yield Part("values", pack_records(f"{name}={self.live[name]}".encode() for name in names))
        self.changed.clear()

    def restore_parts(self, layers: Sequence[ComponentLayer]) -> None:
        self.staged = {}
        for layer in layers:
            for part in layer.part_names:
                for record in (record for batch in layer.read(part) for record in unpack_records(batch)):
                    name, _, value = record.decode().partition("=")
                    self.staged[name] = int(value)
        if layers[-1].manifest.sequence in self.refused:
            raise RestoreRefused("the totals differ")

    def activate_restored(self) -> None:
        assert self.staged is not None
        self.live = self.staged

    def discard_restored(self) -> None:
        self.staged = None


@pytest.fixture
def ledger() -> Counters:
    return Counters()


@pytest.fixture
def modes() -> Counters:
    return Counters()


@pytest.fixture
def manager(store: CheckpointStore, ledger: Counters, modes: Counters, clock: ManualClock) -> RecoveryManager:
    manager = RecoveryManager(store, clock=clock)
    manager.register_component("ledger", ledger)
    manager.register_component("modes", modes)
    return manager


def spoil(archive: MemoryArchive, manifest: Manifest) -> None:
    replace(archive, f"checkpoints/{manifest.id}/part-00-000000.zst", b"")


def fill(ledger: Counters, value: int) -> None:
    ledger.set(**{f"account-{n}": n for n in range(100)}, slot=value)


def test_all_components_come_back_as_they_were(manager: RecoveryManager, ledger: Counters, modes: Counters) -> None:
    fill(ledger, 1)
    modes.set(mode=2)
    made = manager.create_system_checkpoint(sequence=1, facts={"slot": 1})
    ledger.set(slot=9)
    modes.set(mode=0)
    assert manager.restore_system_checkpoint(made.id) == made
    assert (ledger.live["slot"], modes.live) == (1, {"mode": 2})
    status = manager.get_recovery_status()
    assert (status.last_checkpoint, status.last_restored) == (made.id, made.id)
    assert status.components == ("ledger", "modes")
    assert status.done_bytes == status.total_bytes > 0


def test_incrementals_hold_what_changed_and_are_restored_on_their_bases(
    manager: RecoveryManager, ledger: Counters
) -> None:
    fill(ledger, 1)
    full = manager.create_system_checkpoint(sequence=1)
    ledger.set(slot=2)
    small = manager.create_system_checkpoint(sequence=2)
    assert (small.kind, small.records) == ("incremental", 1)
    assert full.records == 101
    whole = dict(ledger.live)
    ledger.live = {}
    assert manager.auto_recover() == small
    assert ledger.live == whole
    assert manager.create_system_checkpoint(sequence=3, kind="full").kind == "full"


def test_going_back_in_sequence_makes_a_full_checkpoint(manager: RecoveryManager) -> None:
    manager.create_system_checkpoint(sequence=5)
    assert manager.create_system_checkpoint(sequence=4).kind == "full"


def test_no_checkpoints_is_no_error(manager: RecoveryManager) -> None:
    assert manager.auto_recover() is None


def test_a_bad_checkpoint_is_passed_over_and_told(
    manager: RecoveryManager, ledger: Counters, archive: MemoryArchive
) -> None:
    made = []
    for sequence in (1, 2, 3):
        fill(ledger, sequence)
        made.append(manager.create_system_checkpoint(sequence=sequence, kind="full"))
    spoil(archive, made[2])
    ledger.refused = {2}
    ledger.live = {}
    assert manager.auto_recover() == made[0]
    assert ledger.live["slot"] == 1
    status = manager.get_recovery_status()
    assert [text.split(":")[0] for text in status.bad] == [made[2].id, made[1].id]
    assert len(manager.store.summaries()) == 3


def test_all_bad_is_an_error_that_names_them(
    manager: RecoveryManager, ledger: Counters, archive: MemoryArchive
) -> None:
    fill(ledger, 1)
    made = manager.create_system_checkpoint(sequence=1)
    spoil(archive, made)
    ledger.set(slot=5)
    with pytest.raises(NoUsableCheckpoint, match=made.id):
        manager.auto_recover()
    with pytest.raises(BadCheckpoint, match="bytes instead"):
        manager.restore_system_checkpoint(made.id)
    assert ledger.live["slot"] == 5
    assert made.id in str(manager.get_recovery_status().last_error)


def test_an_archive_that_is_away_is_not_taken_for_a_bad_one(
    manager: RecoveryManager, ledger: Counters, archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.create_system_checkpoint(sequence=1)

    def fail(name: str, max_bytes: int) -> bytes:
        raise ArchiveReadError("network")

    monkeypatch.setattr(archive, "get", fail)
    with pytest.raises(ArchiveUnavailable):
        manager.auto_recover()
    assert manager.get_recovery_status().state is RecoveryState.IDLE


def test_when_one_component_refuses_none_is_switched(
    manager: RecoveryManager, ledger: Counters, modes: Counters
) -> None:
    ledger.set(slot=1)
    made = manager.create_system_checkpoint(sequence=1)
    ledger.set(slot=2)
    modes.refused = {1}
    with pytest.raises(RestoreRefused):
        manager.restore_system_checkpoint(made.id)
    assert ledger.live["slot"] == 2
    assert (ledger.staged, modes.staged) == (None, None)


def test_a_component_added_later_finds_no_parts(
    manager: RecoveryManager, store: CheckpointStore, ledger: Counters
) -> None:
    ledger.set(slot=1)
    made = manager.create_system_checkpoint(sequence=1)
    later = RecoveryManager(store)
    statistics = Counters()
    statistics.set(old=1)
    later.register_component("statistics", statistics)
    later.restore_system_checkpoint(made.id)
    assert statistics.live == {}


def test_names_are_checked_and_unique(manager: RecoveryManager, ledger: Counters) -> None:
    for name in ("ledger", "", "A", "a/b", "../x"):
        with pytest.raises(ValueError, match="component name"):
            manager.register_component(name, ledger)


def test_progress_and_time_left_are_told_while_restoring(
    manager: RecoveryManager, ledger: Counters, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ledger, 1)
    manager.create_system_checkpoint(sequence=1)
    seen = []
    restore = ledger.restore_parts

    def watched(layers: Sequence[ComponentLayer]) -> None:
        clock.advance(10)
        restore(layers)
        seen.append(manager.get_recovery_status())
        with pytest.raises(RuntimeError, match="already restoring"):
            manager.create_system_checkpoint(sequence=9)

    monkeypatch.setattr(ledger, "restore_parts", watched)
    manager.auto_recover()
    status = seen[0]
    assert (status.state, status.seconds_left) == (RecoveryState.RESTORING, 0.0)
    assert 0 < status.done_bytes <= status.total_bytes


def test_bad_ones_are_listed_with_their_problem_and_deleted_ones_are_unknown(
    manager: RecoveryManager, archive: MemoryArchive
) -> None:
    made = [manager.create_system_checkpoint(sequence=n, kind="full") for n in range(5)]
    replace(archive, f"checkpoints/{made[4].id}/checkpoint.manifest", b"junk")
    summaries = manager.store.summaries()
    assert [summary.manifest for summary in summaries] == [*made[:4], None]
    assert "does not start as one" in str(summaries[4].problem)
    assert manager.store.verify(made[0].id).ok
    assert manager.store.cleanup(keep=3).deleted == (made[0].id,)
    with pytest.raises(UnknownCheckpoint):
        manager.restore_system_checkpoint(made[0].id)


def test_batches_of_a_component_stay_its_own(
    manager: RecoveryManager, store: CheckpointStore, ledger: Counters
) -> None:
    ledger.set(slot=1)
    made = manager.create_system_checkpoint(sequence=1)
    layer = store.layers(made.id)[0]
    assert layer.part_names == ("ledger/values", "modes/values")
    assert ComponentLayer(layer, "ledger").part_names == ("values",)
    assert next(ComponentLayer(layer, "ledger").read("values")) == Batch(next(layer.read("ledger/values")).data, 1)
    with pytest.raises(BadCheckpoint, match="no part"):
        list(ComponentLayer(layer, "modes").read("other"))
