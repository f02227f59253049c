"""The ledger's Redis has one door: scripts get their keys in one place, and no other folder spells keys."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import fakeredis

from banking.ledger import scripts
from banking.ledger.keys import EpochKeys, LedgerKeys
from banking.ledger.scripts import LUA, LedgerScript

ROOT = Path(__file__).parents[3]
ROOMS = ("banking", "tasks", "workers", "rpc")

DECLARED = [value for value in vars(scripts).values() if isinstance(value, LedgerScript)]

#: The names of the keys: `ledger.keys.meta` spells one.
KEY_NAMES = {name for kind in (LedgerKeys, EpochKeys) for name in vars(kind)} | {"name"}
#: What is called `client` and is none of Redis: the address of whoever connected.
OTHER_CLIENTS = {"source.client"}


def is_use(node: ast.Attribute) -> bool:
    """Whether this is the client of a ledger, its keys, or the name of one of them."""
    owner = ast.unparse(node.value).rpartition(".")[2].lstrip("_")
    if node.attr == "client":
        return ast.unparse(node) not in OTHER_CLIENTS
    if node.attr == "keys":
        return owner in {"ledger", "old", "target"}
    return node.attr == "epoch_keys" or (node.attr in KEY_NAMES and owner in {"keys", "epoch_keys"})


def uses(source: str) -> list[str]:
    """Where the client or the keys of a ledger are reached for, or the names of keys are made."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and is_use(node):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom) and node.module == "banking.ledger.keys":
            # The prefix is what other packages keep their own keys under.
            found += [alias.name for alias in node.names if alias.name != "key_prefix"]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("tl:{"):
            found.append(node.value)
    return found


def test_only_the_ledger_folder_spells_keys_and_uses_the_client() -> None:
    files = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    found = {path.relative_to(ROOT).as_posix(): uses(path.read_text()) for path in files}
    outside = {name: texts for name, texts in found.items() if texts and not name.startswith("banking/ledger/")}
    assert outside == {}, "use a method of the ledger, or a function in banking/ledger"
    assert found["banking/ledger/directory.py"], "the rule sees what it is about"


def test_a_use_is_found() -> None:
    assert len(uses("self._ledger.client.get(self._ledger.keys.meta)")) >= 2
    assert uses("from banking.ledger.keys import EpochKeys, key_prefix") == ["EpochKeys"]
    assert uses("here.ledger.epoch_keys.state")
    assert uses("keys = ledger.keys\nread(keys.intake)")
    assert uses("self._reader.client.hscan(self._reader.keys.epoch(3).accounts)")
    assert uses("client.get(f'tl:{{{name}}}:meta')")
    assert uses("mapping.keys()") == []
    assert uses("sorted(entry.keys)") == []


def header_keys(text: str) -> list[str]:
    """The names of the keys in the header of a Lua file, in order."""
    found = re.search(r"-- KEYS(.*?)\n--\s?(?:ARGV|RESULT)", text, re.DOTALL)
    assert found is not None, text[:200]
    return re.findall(r"\d+ ([a-z_-]+)", found[1].replace("\n--", ""))


def test_headers_name_the_keys_that_are_passed() -> None:
    assert {script.name for script in DECLARED} == set(LUA)
    for script in DECLARED:
        if script.name in {"switch", "images"}:
            continue
        text = (Path(scripts.__file__).parent / "lua" / f"{script.name}.lua").read_text()
        assert [name.replace("-", "_") for name in header_keys(text)] == list(script.keys), script.name


def test_a_script_gets_its_keys_of_the_ledger_of_the_epoch_and_of_what_was_loaded() -> None:
    keys = LedgerKeys("demo")
    names = scripts.SWITCH.key_names(keys, keys.epoch(7), keys.staging("abc"))
    assert names[:2] == ["tl:{demo}:meta", "tl:{demo}:restorer"]
    assert names[5] == "tl:{demo}:load-abc:accounts"
    assert names[10] == "tl:{demo}:e7:accounts"
    assert len(names) == 17
    assert not scripts.RENEW.needs_epoch
    assert scripts.JOURNAL.needs_epoch
    assert LUA["renew"](fakeredis.FakeRedis(), scripts.RENEW.key_names(keys, None), ["token", 0]) == 0
