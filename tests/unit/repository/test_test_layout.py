"""Where tests and their helpers stand, and what they may import of each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.packaging import ROOMS
from tests.support.paths import ROOT

TESTS = ROOT / "tests"
#: Started by make and by hand, not by pytest.
PROGRAMS = {"chaos/rpc_fuzz.py", "clients/conformance.py", "clients/javascript.py"}
#: `python -m tests.chaos`: a program of several folders, and what only it uses.
STORM = {"harness", "nemesis", "clients", "checker", "planted"}
STORM_FILES = {"chaos/__main__.py", "chaos/history.py", "chaos/figures.py", "chaos/report.py", "chaos/measure.py"}
#: Tests of the repository itself: its layout, its packages, the files beside the code.
REPOSITORY = "repository"


def is_test_module(module: str) -> bool:
    return any(part.startswith("test_") or part == "conftest" for part in module.split("."))


def imported_test_modules(source: str) -> list[str]:
    """The test modules and conftests that `source` imports."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names if alias.name.startswith("test_")]
            names.append(node.module or "")
        else:
            continue
        found += [name for name in names if name.startswith("tests.") and is_test_module(name)]
    return found


def misplaced(name: str) -> bool:
    """Whether a file, named relative to tests/, is where it must not be."""
    folder, _, file = name.rpartition("/")
    if file == "__init__.py" or name == "conftest.py" or name in PROGRAMS | STORM_FILES:
        return False
    of_pytest = is_test_module(file.removesuffix(".py"))
    match folder.split("/"):
        case ["support", *_]:
            return of_pytest
        case ["unit", room, *_]:
            return not of_pytest or room not in {*ROOMS, REPOSITORY}
        case ["chaos", part]:
            return of_pytest or part not in STORM
        case ["integration", _] | ["chaos" | "oracle"]:
            return not of_pytest
        case _:
            return True


def files() -> dict[str, Path]:
    return {path.relative_to(TESTS).as_posix(): path for path in sorted(TESTS.rglob("*.py"))}


def test_tests_and_helpers_are_in_their_folders() -> None:
    assert [name for name in files() if misplaced(name)] == []


def test_no_module_imports_a_test_module_or_a_conftest() -> None:
    found = {name: imported_test_modules(path.read_text()) for name, path in files().items()}
    assert {name: modules for name, modules in found.items() if modules} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from tests.unit.banking.test_processor import Bench",
        "from tests.unit.banking import test_processor",
        "from tests.conftest import MakeRedis",
        "import tests.integration.rpc.conftest",
    ],
)
def test_an_import_of_a_test_module_is_found(source: str) -> None:
    assert len(imported_test_modules(source)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "helpers.py",
        "test_loose.py",
        "unit/test_loose.py",
        "unit/no_room/test_here.py",
        "unit/banking/samples.py",
        "integration/test_loose.py",
        "support/test_hidden.py",
        "support/rpc/conftest.py",
    ],
)
def test_a_misplaced_file_is_found(name: str) -> None:
    assert misplaced(name)


def test_a_well_placed_file_is_not() -> None:
    assert not any(map(misplaced, ["unit/recovery/breaker/test_states.py", "oracle/test_users.py", "support/paths.py"]))
