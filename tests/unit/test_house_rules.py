"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("config", "recovery", "banking", "tasks", "workers", "rpc", "oracle")
MOST_LINES = 400

SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
BESIDE = ("tests", "benchmarks", "examples")
EVERYTHING = [*SOURCES, *sorted(path for room in BESIDE for path in (ROOT / room).rglob("*.py"))]
LUA = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.lua"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def calls(source: str) -> set[str]:
    """Dotted names of everything called, as far as they are plain names: `time.time`."""
    nodes = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute | ast.Name)}


def imports(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return found


def bare_excepts(source: str) -> list[int]:
    handlers = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler))
    return [handler.lineno for handler in handlers if handler.type is None]


def lua_header(text: str) -> str:
    """The comment that a Lua file opens with."""
    return "\n".join(re.match(r"(?:--.*\n?)*", text).group().splitlines())  # type: ignore[union-attr]


@pytest.mark.parametrize("path", [*EVERYTHING, *LUA], ids=name_of)
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", LUA, ids=name_of)
def test_lua_opens_with_its_interface(path: Path) -> None:
    text = path.read_text()
    header = lua_header(text)
    assert header.startswith("-- ")
    assert "KEYS" in header
    assert "RESULT" in header.upper()
    code = text[len(header) :]
    assert "ARGV" in header or "ARGV" not in code
    named = re.search(r"KEYS(.*?)(?:\n-- (?:ARGV|RESULT)|\Z)", header, re.DOTALL | re.IGNORECASE)
    assert named is not None
    for number in set(re.findall(r"KEYS\[(\d+)\]", code)):
        assert re.search(rf"\b{number}\b", named.group(1)), f"the header does not name KEYS[{number}]"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_pickle(path: Path) -> None:
    assert not {"pickle", "cPickle", "dill", "shelve", "marshal"} & {
        name.partition(".")[0] for name in imports(path.read_text())
    }


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_no_bare_except(path: Path) -> None:
    assert bare_excepts(path.read_text()) == []


#: What tells the machine's time. Durations of waiting for a process may be measured where no clock is injected.
WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now", "datetime.utcnow"}


@pytest.mark.parametrize("path", [path for path in SOURCES if name_of(path) != "config/clock.py"], ids=name_of)
def test_time_comes_from_the_clock(path: Path) -> None:
    source = path.read_text()
    assert not WALL_CLOCKS & calls(source)
    assert "time.time" not in imports(source)


def test_the_rules_find_what_they_look_for() -> None:
    assert bare_excepts("try:\n    pass\nexcept:\n    pass") == [3]
    assert "time.time" in calls("import time\nx = time.time()")
    assert "time.time" in imports("from time import time")
    assert "pickle" in imports("import pickle")
    assert lua_header("-- What\n--\n-- KEYS 1 a\n\nreturn 1") == "-- What\n--\n-- KEYS 1 a"
    assert len(SOURCES) > 40
    assert len(LUA) > 8
