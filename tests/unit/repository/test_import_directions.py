"""Imports go only downwards, as the design's table of rooms says."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.paths import ROOT

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
    # pytest loads it into other projects, where our names may mean their modules.
    "pytest_trunkline": set(),
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


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Module to the modules that its source names in an import, `TYPE_CHECKING` and functions included.

    What Python imports along the way (the `__init__` of a folder whose module is imported) does not count: such an
    `__init__` exports what its modules define.
    """
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        targets = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                members = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= members & sources.keys() or {node.module or ""}
        graph[module] = targets & sources.keys()
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The groups of modules each of which imports, by way of others, all of its group."""
    reached = {module: reachable(graph, module) for module in graph}
    found: list[set[str]] = []
    for module in graph:
        group = {other for other in reached[module] if module in reached[other]}
        if group and group not in found:
            found.append(group)
    return found


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    pending = list(graph[start])
    while pending:
        if (module := pending.pop()) not in seen:
            seen.add(module)
            pending += graph[module]
    return seen


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_circle_of_files() -> None:
    sources = {module_name(path): path.read_text() for room in MAY_IMPORT for path in modules(room)}
    assert [sorted(group) for group in circles(import_graph(sources))] == []


def test_a_circle_is_found() -> None:
    late = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.one import One"
    sources = {"a.one": "from a.two import Two", "a.two": late, "a.three": "import a.one"}
    assert circles(import_graph(sources)) == [{"a.one", "a.two"}]
    assert circles(import_graph({**sources, "a.two": "import json"})) == []


def test_the_rpc_servers_composition_root_is_imported_by_its_runner_alone() -> None:
    """Handlers get the parts that they may use from `rpc/context.py`; none can ask for the whole server."""
    importers = {
        path.relative_to(ROOT).as_posix()
        for room in MAY_IMPORT
        for path in modules(room)
        if any(module == "rpc.node" for _, module in imported(ast.parse(path.read_text())))
    }
    assert importers == {"rpc/runner.py"}


#: Foreign packages to the only files that may import them; a new file is listed here on purpose, or uses one of these.
IMPORTED_ONLY_IN: dict[tuple[str, ...], set[str]] = {
    ("redis",): {
        "banking/ledger/async_ledger.py",
        "banking/ledger/connections.py",
        "banking/ledger/ledger.py",
        "banking/ledger/directory.py",
        "banking/ledger/observing.py",
        "banking/ledger/redis_errors.py",
        "banking/ledger/worker_registry.py",
        "config/addresses.py",
        "config/kombu_redis.py",
        "config/kombu_unacked.py",
        "recovery/breaker/breaker.py",
        "recovery/breaker/redis_health.py",
        "recovery/breaker/redis_store.py",
        "recovery/breaker/registry.py",
        "recovery/connections.py",
        "recovery/lean_client.py",
        "recovery/dead_letters.py",
        "recovery/degradation/manager.py",
        "recovery/degradation/reader.py",
        "recovery/degradation/signals.py",
        "recovery/degradation/store.py",
        "recovery/retry/budget.py",
        "recovery/retry/classification.py",
        "recovery/scripts.py",
        "recovery/sentinels.py",
        "recovery/task/publishing.py",
        "rpc/collaborators.py",
        "rpc/ledger_access/follower.py",
        "rpc/sandbox/cloning.py",
        "tasks/enqueue.py",
        "workers/answering.py",
        "workers/bootsteps/heartbeat.py",
        "workers/cli/errors.py",
        "workers/cli/readiness.py",
        "workers/cli/worker_count.py",
        "workers/container_health.py",
        "workers/flower_tab/handlers.py",
        "workers/joining.py",
        "workers/overview/doctor.py",
        "workers/overview/gathering.py",
        "workers/startup.py",
        "workers/supervisor/embedded_redis.py",
    },
    ("celery", "kombu"): {
        "config/app.py",
        "config/control.py",
        "config/kombu_amqp.py",
        "config/kombu_redis.py",
        "config/kombu_unacked.py",
        "config/reconnecting.py",
        "config/logs.py",
        "config/queues.py",
        "config/serialization.py",
        "recovery/task/dead_letters.py",
        "recovery/task/fault_tolerant_task.py",
        "recovery/task/publishing.py",
        "rpc/node.py",
        "tasks/enqueue.py",
        "tasks/events.py",
        "tasks/submission.py",
        "tasks/transactions.py",
        "workers/answering.py",
        "workers/beat.py",
        "workers/bootsteps/heartbeat.py",
        "workers/bootsteps/queue_pause.py",
        "workers/bootsteps/restore.py",
        "workers/celery_process.py",
        "workers/cli/errors.py",
        "workers/flower_process.py",
        "workers/joining.py",
        "workers/metrics/server.py",
        "workers/overview/broker_depth.py",
        "workers/startup.py",
    },
}


def importers(packages: tuple[str, ...], sources: Mapping[str, str]) -> set[str]:
    """The files whose source imports one of `packages`."""
    return {
        name
        for name, source in sources.items()
        if any(module.partition(".")[0] in packages for _, module in imported(ast.parse(source)))
    }


@pytest.mark.parametrize("packages", IMPORTED_ONLY_IN)
def test_redis_and_celery_are_imported_only_in_listed_files(packages: tuple[str, ...]) -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for room in MAY_IMPORT for path in modules(room)}
    assert sorted(importers(packages, sources) - IMPORTED_ONLY_IN[packages]) == []


def test_an_import_in_a_file_that_is_not_listed_is_found() -> None:
    sources = {"banking/intake/made_up.py": "def late():\n    from kombu.pools import producers", "x.py": "import json"}
    assert importers(("celery", "kombu"), sources) == {"banking/intake/made_up.py"}
