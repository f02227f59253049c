"""What is imported, and which distribution brings it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions

from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: The packages that the wheel holds.
ROOMS = [pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]


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
