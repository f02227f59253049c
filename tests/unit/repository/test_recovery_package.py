"""`recovery` as a package of its own: it needs little, and what it says of itself is so."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import recovery
from tests.support.packaging import foreign_modules, undeclared
from tests.support.paths import ROOT

WHOLE = tomllib.loads((ROOT / "pyproject.toml").read_text())
ALONE = tomllib.loads((ROOT / "recovery" / "pyproject.toml").read_text())

PACKED = ("celery", "kombu", "zstandard", "obstore", "psutil", "structlog", "base58")


def test_the_lazy_names_are_those_that_type_checkers_see() -> None:
    tree = ast.parse(Path(recovery.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        (str(node.module).removeprefix("recovery."), alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {(home, name) for name, home in recovery._HOME_OF.items()} == seen
    assert sorted(recovery._HOME_OF) == recovery.__all__


@pytest.mark.parametrize("name", recovery.__all__)
def test_every_name_is_given(name: str) -> None:
    assert getattr(recovery, name) is not None


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        recovery.nothing_of_this_name  # noqa: B018


@pytest.mark.parametrize(
    "name", ["CircuitBreaker", "RetryPolicy", "RetryBudget", "DegradationManager", "DeadLetters", "is_retryable"]
)
def test_what_works_on_redis_alone_imports_no_more(name: str) -> None:
    code = f"from recovery import {name}\nimport sys\nprint(*(m for m in {PACKED!r} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_a_name_whose_extra_is_missing_says_which() -> None:
    code = "import sys\nsys.modules['celery'] = None\nfrom recovery import FaultTolerantTask"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "pip install 'trunkline-recovery[celery]'" in run.stderr


def test_its_project_file_lists_its_packages() -> None:
    folder = ROOT / "recovery"
    found = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in folder.rglob("__init__.py")}
    assert set(ALONE["tool"]["setuptools"]["packages"]) == found


def test_its_project_file_declares_what_it_imports() -> None:
    extras = ALONE["project"]["optional-dependencies"]
    declared = [*ALONE["project"]["dependencies"], *(one for extra in extras.values() for one in extra)]
    assert undeclared(foreign_modules(["recovery"]), declared) == set()


def test_both_project_files_agree() -> None:
    for name in ("version", "requires-python", "license"):
        assert ALONE["project"][name] == WHOLE["project"][name]
    extras = ALONE["project"]["optional-dependencies"]
    declared = {*ALONE["project"]["dependencies"], *(one for extra in extras.values() for one in extra)}
    assert declared - {"trunkline-recovery[checkpoints]"} <= set(WHOLE["project"]["dependencies"])
