"""What is imported is declared: an environment that holds only what pyproject.toml names must do."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from workers import rooms

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: The packages that the wheel holds.
ROOMS = [pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]
#: Imported by name only, by others: Celery's workers load the Redis transport, uvicorn its loop and parser.
BY_OTHERS = {"hiredis", "uvloop", "httptools", "websockets"}


def requirement_name(requirement: str) -> str:
    """The distribution that a requirement names, in its normal form."""
    return normal(re.match(r"[\w.-]+", requirement).group())  # type: ignore[union-attr]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def modules_of(tree: ast.AST) -> Iterator[str]:
    """The top-level modules imported anywhere in `tree`, those for type checkers included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


def foreign_modules(rooms: Iterable[str]) -> set[str]:
    """What the code of `rooms` imports beside the standard library and our own rooms."""
    paths = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    found = {module for path in paths for module in modules_of(ast.parse(path.read_text()))}
    return found - set(sys.stdlib_module_names) - set(ROOMS)


def undeclared(modules: Iterable[str], requirements: Iterable[str]) -> set[str]:
    """Those of `modules` that no requirement brings by itself, as opposed to by another's dependencies."""
    declared = {requirement_name(requirement) for requirement in requirements}
    known = packages_distributions()
    return {module for module in modules if not {normal(name) for name in known.get(module, [])} & declared}


def dependencies(project: Path) -> list[str]:
    found: list[str] = tomllib.loads(project.read_text())["project"]["dependencies"]
    return found


def test_every_import_is_a_declared_dependency() -> None:
    assert undeclared(foreign_modules(ROOMS), dependencies(ROOT / "pyproject.toml")) == set()


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
    assert {*rooms.ROOMS, "workers"} == set(ROOMS)
    assert set(ROOMS) <= set(re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert set(ROOMS) <= set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("source", "expected"),
    [("import pytest.collect", {"pytest"}), ("def f():\n    from hypothesis import given", {"hypothesis"})],
)
def test_an_import_that_nobody_declared_is_found(source: str, expected: set[str]) -> None:
    assert undeclared(modules_of(ast.parse(source)), dependencies(ROOT / "pyproject.toml")) == expected
