"""The archive's disk fails in further ways, beneath a whole pipeline."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.support.durability.finality import endure_archive_without_writes
from tests.support.pipelines import MakePipeline

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]

FAULTS = [("fsync", errno.EIO), ("linkat", errno.EIO), ("folder-fsync", errno.EIO), ("fsync", errno.ENOSPC)]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_archive_that_takes_no_writes(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch, shim: Path, tmp_path: Path, fault: tuple[str, int]
) -> None:
    endure_archive_without_writes(make_pipeline(), monkeypatch, shim, tmp_path / "armed", fault)
