"""The planted bugs can still be planted: their patterns match the source, and what they make of it is a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.planted.__main__ import plant
from tests.chaos.planted.bugs import BUGS, Edit, NotPlanted
from tests.support.paths import ROOT


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_can_be_planted(name: str, tmp_path: Path) -> None:
    bug = BUGS[name]
    plant(bug, tmp_path)
    changed = [
        path for edit in bug.edits for path in tmp_path.glob(edit.where) if path.read_text() != original(path, tmp_path)
    ]
    assert changed
    for path in changed:
        if path.suffix == ".py":
            compile(path.read_text(), path.name, "exec")


def original(path: Path, planted: Path) -> str:
    return (ROOT / path.relative_to(planted)).read_text()


def test_a_pattern_that_the_source_no_longer_holds_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1\n")
    with pytest.raises(NotPlanted, match="matches 0 times"):
        Edit("*.py", "^y = 1$", "y = 2").apply(tmp_path)
