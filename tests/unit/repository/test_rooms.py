"""Whose module a name means, when the working folder has one of the same name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def run_in(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` as Celery does: the working folder is searched first, our packages behind it."""
    path = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]\n"
    command = [sys.executable, "-I", "-c", path + code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.py", "tasks.py", "helpers.py"):
        (tmp_path / name).write_text("MINE = True\n")
    return tmp_path


def test_our_process_finds_our_packages(folder: Path) -> None:
    code = "import workers, config, tasks.receipts\nprint(config.__file__, tasks.receipts.__file__)"
    run = run_in(folder, code)
    assert run.stdout.split() == [str(ROOT / "config/__init__.py"), str(ROOT / "tasks/receipts.py")], run.stderr


def test_what_is_not_ours_is_still_found(folder: Path) -> None:
    assert run_in(folder, "import workers, helpers\nprint(helpers.MINE)").stdout == "True\n"


def test_a_foreign_module_that_came_first_is_named(folder: Path) -> None:
    run = run_in(folder, "import config\nimport workers")
    assert run.returncode == 1
    assert f"'config' from {folder / 'config.py'}" in run.stderr
    assert "rename" in run.stderr


def test_a_producer_beside_a_foreign_module_is_told(folder: Path) -> None:
    (folder / "tasks.py").unlink()
    run = run_in(folder, "from tasks import submit")
    assert run.returncode == 1
    assert f"{folder / 'config.py'}" in run.stderr
    assert "transactions.process" in run.stderr
    assert "MINE" not in run.stderr
