"""Random histories of saving, killing, damaging and cleaning up, against a model that never forgets."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from recovery.archive import MemoryArchive
from recovery.checkpoints import Batch, CheckpointStore, Part, WriteOptions
from recovery.checkpoints.retention import MIN_VERIFIED
from recovery.clock import ManualClock
from recovery.identity import Identity
from tests.support.checkpoints import contents, replace

IDENTITY = Identity.generate()


class Killed(BaseException):
    """The process is gone: no handler of its own runs any further."""


class MortalArchive(MemoryArchive):
    """Dies before or after the n-th change, and stays dead until revived."""

    def __init__(self) -> None:
        super().__init__()
        self.changes_left: int | None = None
        self.dies_after_change = False

    def put(self, name: str, data: bytes) -> None:
        self._change(lambda: MemoryArchive.put(self, name, data))

    def delete(self, name: str) -> None:
        self._change(lambda: MemoryArchive.delete(self, name))

    def set_aside(self, name: str) -> str:
        moved: list[str] = []
        self._change(lambda: moved.append(MemoryArchive.set_aside(self, name)))
        return moved[0]

    def _change(self, act) -> None:  # type: ignore[no-untyped-def]
        if self.changes_left is None:
            act()
            return
        self.changes_left -= 1
        if self.changes_left < 0 or (self.changes_left == 0 and not self.dies_after_change):
            raise Killed
        act()
        if self.changes_left == 0:
            raise Killed


@dataclass
class Saved:
    """What the model knows of a checkpoint: its content, its base, and whether somebody damaged it."""

    content: list[Batch]
    base: str | None
    damaged: bool = False


class Histories(RuleBasedStateMachine):
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.archive = MortalArchive()
        self.clock = ManualClock()
        options = WriteOptions(chunk_bytes=20, write_seconds=100)
        self.store = CheckpointStore(self.archive, IDENTITY, clock=self.clock, options=options)
        self.model: dict[str, Saved] = {}
        self.sequence = 0

    def is_good(self, checkpoint_id: str) -> bool:
        saved = self.model.get(checkpoint_id)
        return bool(saved and not saved.damaged and (saved.base is None or self.is_good(saved.base)))

    def chain(self, checkpoint_id: str) -> list[str]:
        base = self.model[checkpoint_id].base
        return [*(self.chain(base) if base else []), checkpoint_id]

    def usable_base(self, checkpoint_id: str) -> bool:
        return self.is_good(checkpoint_id) and len(self.chain(checkpoint_id)) < 3

    @rule(target=ids, data=st.lists(st.binary(max_size=30), max_size=4), base=st.none() | ids)
    def save(self, data: list[bytes], base: str | None) -> object:
        if base is not None and not self.usable_base(base):
            base = None
        self.sequence += 1
        content = [Batch(item, 1) for item in data]
        made = self.store.create(sequence=self.sequence, parts=[Part("p", content)], base=base)
        self.model[made.id] = Saved(content, base)
        return made.id

    @rule(target=ids, size=st.integers(0, 4), kill_at=st.integers(1, 6), after=st.booleans())
    def save_and_die(self, size: int, kill_at: int, after: bool) -> object:
        """Whatever the moment, the checkpoint is there completely or not at all."""
        self.sequence += 1
        content = [Batch(bytes([index]) * 30, 1) for index in range(size)]
        before = set(self.store.ids())
        self.archive.changes_left, self.archive.dies_after_change = kill_at, after
        try:
            self.store.create(sequence=self.sequence, parts=[Part("p", content)])
        except Killed:
            assert kill_at <= size + 1
        finally:
            self.archive.changes_left = None
        new = set(self.store.ids()) - before
        assert bool(new) == (kill_at > size + 1 or (kill_at == size + 1 and after))
        self.model.update({checkpoint_id: Saved(content, None) for checkpoint_id in new})
        return multiple(*new)

    @rule(checkpoint_id=ids, which=st.integers(0, 9), at=st.integers(0, 10**6), mask=st.integers(1, 255))
    def damage(self, checkpoint_id: str, which: int, at: int, mask: int) -> None:
        names = list(self.archive.list(f"checkpoints/{checkpoint_id}"))
        if checkpoint_id in self.model and names:
            name = names[which % len(names)]
            data = bytearray(self.archive.get(name, 10**6))
            data[at % len(data)] ^= mask
            if not self.model[checkpoint_id].damaged:  # twice the same damage would mend it
                replace(self.archive, name, bytes(data))
            self.model[checkpoint_id].damaged = True

    @rule(checkpoint_id=consumes(ids))
    def quarantine(self, checkpoint_id: str) -> None:
        if not self.is_good(checkpoint_id):
            self.store.quarantine(checkpoint_id)
            self.model.pop(checkpoint_id, None)

    @rule(keep=st.integers(3, 5), kill_at=st.none() | st.integers(1, 8), after=st.booleans())
    def cleanup(self, keep: int, kill_at: int | None, after: bool) -> None:
        good = [checkpoint_id for checkpoint_id in sorted(self.model) if self.is_good(checkpoint_id)]
        expected = self.kept_after_cleanup(good, keep)
        self.archive.changes_left, self.archive.dies_after_change = kill_at, after
        try:
            report = self.store.cleanup(keep, incomplete_seconds=200)
        except Killed:
            assert expected <= set(self.store.ids()) <= set(self.model)
        else:
            assert set(self.store.ids()) == set(report.kept) == expected
            if report.oldest_kept is not None:
                assert len(good) >= MIN_VERIFIED
                assert self.is_good(report.oldest_kept.id)
        finally:
            self.archive.changes_left = None
        self.model = {key: saved for key, saved in self.model.items() if key in set(self.store.ids())}

    def kept_after_cleanup(self, good: list[str], keep: int) -> set[str]:
        if len(good) < keep:
            return set(self.model)
        needed = {link for checkpoint_id in good[-keep:] for link in self.chain(checkpoint_id)}
        return needed | {checkpoint_id for checkpoint_id in self.model if checkpoint_id > good[-keep]}

    @rule(seconds=st.integers(1, 300))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        assert list(self.store.ids()) == sorted(self.model)
        for checkpoint_id in self.model:
            report = self.store.verify(checkpoint_id)
            assert report.ok == self.is_good(checkpoint_id)
            if report.ok:
                read = [layer["p"] for layer in contents(self.store, checkpoint_id)]
                assert read == [self.model[link].content for link in self.chain(checkpoint_id)]

    @invariant()
    def the_newest_good_one_is_found(self) -> None:
        good = [checkpoint_id for checkpoint_id in self.model if self.is_good(checkpoint_id)]
        newest = self.store.newest_verified()
        assert (newest.id if newest else None) == max(good, default=None)


Histories.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestHistories = Histories.TestCase
