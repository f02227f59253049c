"""Each folder names the modules that others may import (ADR 0026); what it does not name is its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.support.paths import ROOT

#: `recovery`, `tasks`, `config` and `oracle` export names, for those who import the package itself.
ROOMS = ("banking", "rpc", "workers")
IMPORTERS = ("config", "recovery", "banking", "tasks", "workers", "rpc", "oracle", "pytest_trunkline")
#: Imports every module of the folder to fill a registry; `__all__` are those modules.
REGISTRY = "rpc.methods"

FOLDERS = sorted(
    path.parent.relative_to(ROOT).as_posix().replace("/", ".")
    for room in ROOMS
    for path in (ROOT / room).rglob("__init__.py")
)


def imported_modules(source: str) -> Iterator[str]:
    """The full names of all that is imported, a name in a module counted as a module as well."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def exports(folder: str) -> list[str]:
    assert hasattr(import_module(folder), "__all__"), f"{folder} does not say what others may import of it"
    return list(import_module(folder).__all__)


def is_module(name: str) -> bool:
    return (ROOT / (name.replace(".", "/") + ".py")).is_file()


def not_exported(importer: str, source: str) -> list[str]:
    """The modules of other folders that `importer` imports although their folder does not export them."""
    found = []
    for name in imported_modules(source):
        folder, _, module = name.rpartition(".")
        foreign = folder in FOLDERS and is_module(name) and not f"{importer}.".startswith(f"{folder}.")
        if foreign and module not in exports(folder):
            found.append(name)
    return sorted(set(found))


def test_folders_import_of_each_other_only_what_is_exported() -> None:
    found = {}
    for path in sorted(path for room in IMPORTERS for path in (ROOT / room).rglob("*.py")):
        importer = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        if names := not_exported(importer, path.read_text()):
            found[importer] = names
    assert found == {}, "export the module in the __init__ of its folder, or use one that is exported"


def test_an_import_of_what_is_not_exported_is_found() -> None:
    source = "from banking.execution.programs import x\nfrom banking.execution import stage, batch"
    assert not_exported("rpc.made_up", source) == ["banking.execution.batch", "banking.execution.programs"]
    assert not_exported("banking.execution.made_up", source) == []


def test_what_is_exported_is_there_and_costs_nothing() -> None:
    problems = []
    for folder in FOLDERS:
        tree = ast.parse((ROOT / Path(*folder.split(".")) / "__init__.py").read_text())
        if not ast.get_docstring(tree):
            problems.append(f"{folder} does not say what it is for")
        missing = [name for name in exports(folder) if not is_module(f"{folder}.{name}")]
        problems += [f"{folder} exports {name}, which is no module of it" for name in missing]
        imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree))
        if imports and folder not in ("workers", REGISTRY):
            problems.append(f"{folder} imports something when it is imported")
    assert problems == []
