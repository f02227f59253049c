"""What is imported is declared: an environment that holds only what pyproject.toml names must do."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.packaging import PROJECT, ROOMS, foreign_modules, modules_of, normal, requirement_name, undeclared
from tests.support.paths import ROOT
from workers import rooms

#: Imported by name only, by others: Celery's workers load the Redis transport, uvicorn its loop and parser.
BY_OTHERS = {"hiredis", "uvloop", "httptools", "websockets"}
#: pytest loads it, in other projects too.
PLUGIN = "pytest_trunkline"


def dependencies(project: Path) -> list[str]:
    found: list[str] = tomllib.loads(project.read_text())["project"]["dependencies"]
    return found


def test_every_import_is_a_declared_dependency() -> None:
    rooms = [room for room in ROOMS if room != PLUGIN]
    assert undeclared(foreign_modules(rooms), dependencies(ROOT / "pyproject.toml")) == set()


def test_the_pytest_plugin_needs_its_extra_and_nothing_else() -> None:
    assert foreign_modules([PLUGIN]) == {"pytest"}
    assert [requirement_name(one) for one in PROJECT["project"]["optional-dependencies"]["pytest"]] == ["pytest"]
    assert PROJECT["project"]["entry-points"]["pytest11"] == {"trunkline": PLUGIN}


def test_every_dependency_is_imported() -> None:
    modules = foreign_modules(ROOMS)
    known = packages_distributions()
    imported = {normal(name) for module in modules for name in known.get(module, [])} | BY_OTHERS
    named = {requirement_name(requirement) for requirement in dependencies(ROOT / "pyproject.toml")}
    # Flower is a command of Celery's.
    assert named - imported - {"flower"} == set()


def test_every_list_of_our_packages_is_whole() -> None:
    makefile = re.search(r"^ROOMS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert makefile is not None
    assert makefile.group(1).split() == ROOMS
    # Nobody else has the plugin's name.
    assert {*rooms.ROOMS, "workers", PLUGIN} == set(ROOMS)
    assert set(ROOMS) <= set(re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert set(ROOMS) <= set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("source", "expected"),
    [("import pytest.collect", {"pytest"}), ("def f():\n    from hypothesis import given", {"hypothesis"})],
)
def test_an_import_that_nobody_declared_is_found(source: str, expected: set[str]) -> None:
    assert undeclared(modules_of(ast.parse(source)), dependencies(ROOT / "pyproject.toml")) == expected
