"""The archive's disk fails in further ways, beneath a whole pipeline."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.integration.conftest import MakePipeline
from tests.integration.durability import test_pipeline
from tests.integration.durability.test_pipeline import shim

__all__ = ["shim"]

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]

FAULTS = [("fsync", errno.EIO), ("linkat", errno.EIO), ("folder-fsync", errno.EIO), ("fsync", errno.ENOSPC)]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_archive_that_takes_no_writes(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch, shim: Path, tmp_path: Path, fault: tuple[str, int]
) -> None:
    test_pipeline.test_archive_that_takes_no_writes(make_pipeline, monkeypatch, shim, tmp_path, fault)
