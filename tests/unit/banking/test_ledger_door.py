"""The ledger's Redis has one door: scripts get their keys in one place, and no other folder spells keys."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import fakeredis

from banking.ledger import scripts
from banking.ledger.keys import LedgerKeys
from banking.ledger.scripts import LUA, LedgerScript

ROOT = Path(__file__).parents[3]
ROOMS = ("banking", "tasks", "workers", "rpc")

DECLARED = [value for value in vars(scripts).values() if isinstance(value, LedgerScript)]

#: Files outside `banking/ledger` that use a ledger's client or spell its keys, and how often. Nothing may be added,
#: and whoever moves a use behind a method of the ledger lowers the number.
EXCEPTIONS: dict[str, int] = {
    "banking/intake/dead_letters.py": 1,
    "banking/restore/loading.py": 1,
    "banking/restore/restoring.py": 1,
    "tasks/blocks.py": 2,
    "tasks/checkpoints.py": 4,
    "tasks/health.py": 3,
    "tasks/runtime.py": 2,
    "workers/cli/commands/ledger.py": 1,
    "workers/cli/commands/status.py": 4,
    "workers/cli/connection.py": 1,
    "workers/joining.py": 1,
    "workers/loadgen/tracking.py": 2,
}


def uses(source: str) -> int:
    """How often the client or the keys of a ledger are reached for."""
    count = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in {"client", "keys", "epoch_keys"}:
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            count += owner.lstrip("_") in {"ledger", "old", "one"} or node.attr == "epoch_keys"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            count += node.func.id in {"LedgerKeys", "EpochKeys"}
    return count


def test_only_the_ledger_folder_spells_keys_and_uses_the_client() -> None:
    found = {}
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("banking/ledger/") and (count := uses(path.read_text())):
            found[name] = count
    more = {name: count for name, count in found.items() if count > EXCEPTIONS.get(name, 0)}
    assert more == {}, "use a method of the ledger, or a function in banking/ledger"
    assert EXCEPTIONS.keys() <= found.keys(), "take what is no exception any more off the list"


def test_a_use_is_found() -> None:
    assert uses("self._ledger.client.get(self._ledger.keys.meta)") == 2
    assert uses("LedgerKeys(name).prefix") == 1
    assert uses("here.ledger.epoch_keys.state") == 1
    assert uses("mapping.keys()") == 0


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
