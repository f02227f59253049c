"""Imports go only downwards, as the design's table of rooms says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Room to the rooms it may import; the rooms themselves are the folders at the root that hold Python.
MAY_IMPORT: dict[str, set[str]] = {
    "config": set(),
    "recovery": set(),
    "banking": {"config", "recovery"},
    "tasks": {"config", "recovery", "banking"},
    "workers": {"config", "recovery", "banking", "tasks"},
    "rpc": {"config", "recovery", "banking", "tasks"},
    # A second opinion is worth something only when it shares nothing with the first.
    "oracle": set(),
}
BESIDE = {"tests", "benchmarks", "examples"}
OURS = set(MAY_IMPORT) | BESIDE
#: The command line may start the RPC server, and ask the oracle.
EXCEPTIONS = {("workers/cli/", "rpc"), ("workers/cli/", "oracle")}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide their direction"
            yield node.lineno, node.module or ""


def violations(room: str, source: str, name: str) -> list[str]:
    allowed = MAY_IMPORT[room] | {room}
    found = []
    for line, module in imported(ast.parse(source)):
        target = module.partition(".")[0]
        excepted = any(name.startswith(start) and target == other for start, other in EXCEPTIONS)
        if target in OURS - allowed and not excepted:
            found.append(f"{name}:{line} imports {module}")
    return found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_go_only_downwards(room: str) -> None:
    found = []
    for path in modules(room):
        name = path.relative_to(ROOT).as_posix()
        found += violations(room, path.read_text(), name)
    assert not found


def test_every_room_but_rpc_is_there_and_no_other() -> None:
    """A new folder of modules must be given its place in the table."""
    held = {path.parent.name for path in ROOT.glob("*/*.py")}
    assert set(MAY_IMPORT) - {"rpc"} <= held
    assert held <= OURS


@pytest.mark.parametrize(
    "source", ["import tasks", "from tasks.base import TransactionTask", "def late():\n    import workers.app"]
)
def test_an_upward_import_is_found(source: str) -> None:
    assert violations("banking", source, "banking/made_up.py")


def test_a_downward_import_is_fine() -> None:
    assert not violations("banking", "import recovery.clock, recovery, redis", "banking/made_up.py")


#: Inside banking: folder to the folders of banking it may import.
BANKING_MAY_IMPORT: dict[str, set[str]] = {
    "ledger": set(),
    "intake": {"ledger"},
    "blocks": {"ledger"},
    "execution": {"ledger", "intake"},
    "restore": {"ledger", "intake", "blocks", "execution"},
    "audit": {"ledger", "intake", "blocks", "execution", "restore"},
    "admin": {"ledger", "intake", "blocks", "execution", "restore"},
}


def test_banking_is_layered() -> None:
    found = []
    for folder, allowed in BANKING_MAY_IMPORT.items():
        for path in modules(f"banking/{folder}"):
            for line, module in imported(ast.parse(path.read_text())):
                parts = module.split(".")
                if (
                    parts[0] == "banking"
                    and len(parts) > 1
                    and parts[1] in set(BANKING_MAY_IMPORT) - allowed - {folder}
                ):
                    found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not found
    assert {path.parent.name for path in ROOT.glob("banking/*/*.py")} == set(BANKING_MAY_IMPORT)


def file_imports(room: str) -> dict[str, set[str]]:
    """Module to the modules of the same room that it imports, TYPE_CHECKING included."""
    names = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path for path in modules(room)}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        wanted = {node.module or "" for node in nodes}
        wanted |= {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
        found[name] = wanted & set(names)
    return found


def circle(imports: dict[str, set[str]]) -> set[str]:
    """What is left when modules that import none of the others are taken away: circles, and who imports them."""
    left = dict(imports)
    while free := [name for name, wanted in left.items() if not wanted & set(left)]:
        for name in free:
            del left[name]
    return set(left)


def test_files_import_in_no_circle() -> None:
    assert not circle(file_imports("rpc"))


def test_a_circle_of_files_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"e"}, "e": set()}) == {"a", "b", "c"}
