from __future__ import annotations

import pytest

from recovery.archive import MemoryArchive
from tests.support.archive.contract import ArchiveContract


class TestMemoryArchive(ArchiveContract):
    @pytest.fixture
    def archive(self) -> MemoryArchive:
        return MemoryArchive()
