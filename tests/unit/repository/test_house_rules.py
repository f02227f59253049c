"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support.paths import ROOT

ROOMS = ("config", "recovery", "banking", "tasks", "workers", "rpc", "oracle", "pytest_trunkline")
MAX_LINES = 400
PICKLES = {"pickle", "cPickle", "dill", "shelve", "marshal"}
#: What tells the machine's time.
WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now", "datetime.utcnow"}

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


def wall_clock_reads(source: str) -> set[str]:
    return WALL_CLOCKS & (calls(source) | imports(source))


def lua_header(text: str) -> str:
    """The comment that a Lua file opens with."""
    return "\n".join(re.match(r"(?:--.*\n?)*", text).group().splitlines())  # type: ignore[union-attr]


def lua_violations(text: str) -> list[str]:
    """What the header of a Lua file leaves unsaid about its KEYS, ARGV and result."""
    header = lua_header(text)
    code = text[len(header) :]
    named = re.search(r"KEYS(.*?)(?:\n-- (?:ARGV|RESULT)|\Z)", header, re.DOTALL | re.IGNORECASE)
    keys = named.group(1) if named else ""
    unnamed = sorted(
        {f"KEYS[{key}]" for key in re.findall(r"KEYS\[(\d+)\]", code) if not re.search(rf"\b{key}\b", keys)}
    )
    if "ARGV" in code and "ARGV" not in header:
        unnamed.append("ARGV")
    return unnamed + [word for word in ("-- ", "KEYS", "RESULT") if word not in header.upper()]


def test_files_are_small() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in [*EVERYTHING, *LUA]}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_lua_opens_with_its_interface() -> None:
    assert {name_of(path): missing for path in LUA if (missing := lua_violations(path.read_text()))} == {}


def test_no_pickle() -> None:
    used = {name_of(path): PICKLES & {name.partition(".")[0] for name in imports(path.read_text())} for path in SOURCES}
    assert {name: modules for name, modules in used.items() if modules} == {}


def test_no_bare_except() -> None:
    assert {name_of(path): lines for path in EVERYTHING if (lines := bare_excepts(path.read_text()))} == {}


def test_time_comes_from_the_clock() -> None:
    """Durations of waiting for a process may be measured where no clock is injected; the wall clock may not."""
    others = [path for path in SOURCES if path.name != "clock.py"]
    assert {name_of(path): read for path in others if (read := wall_clock_reads(path.read_text()))} == {}


def test_the_rules_find_what_they_look_for() -> None:
    assert bare_excepts("try:\n    pass\nexcept:\n    pass") == [3]
    assert wall_clock_reads("import time\nx = time.time()") == {"time.time"}
    assert wall_clock_reads("from time import time") == {"time.time"}
    assert "pickle" in imports("import pickle")
    assert lua_header("-- What\n--\n-- KEYS 1 a\n\nreturn 1") == "-- What\n--\n-- KEYS 1 a"
    assert lua_violations("return 1") == ["-- ", "KEYS", "RESULT"]
    assert lua_violations("-- What\n-- KEYS 1 a\n-- RESULT 1\nreturn {KEYS[2], ARGV[1]}") == ["KEYS[2]", "ARGV"]
    assert lua_violations("-- What\n-- KEYS 1 a\n-- ARGV b\n-- RESULT 1\nreturn {KEYS[1], ARGV[1]}") == []
    assert len(SOURCES) > 40
    assert len(LUA) > 8
