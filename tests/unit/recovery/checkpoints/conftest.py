from __future__ import annotations

import pytest

from recovery.archive import MemoryArchive
from recovery.checkpoints import CheckpointStore, WriteOptions
from recovery.clock import ManualClock
from recovery.identity import Identity


@pytest.fixture(scope="session")
def identity() -> Identity:
    return Identity.generate()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def archive() -> MemoryArchive:
    return MemoryArchive()


@pytest.fixture
def store(archive: MemoryArchive, identity: Identity, clock: ManualClock) -> CheckpointStore:
    """A store with tiny chunks, so that small parts have several."""
    return CheckpointStore(archive, identity, clock=clock, options=WriteOptions(chunk_bytes=100))
