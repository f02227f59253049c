"""Bugs that the pipeline once had, planted again: the oracle must find every one, and nothing without them.

Each is a patched copy of the part that was wrong; C3, C4, S1 and S6 are the names under which they were reported.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
from solders.system_program import TransferParams, transfer

from banking.execution import account_access as accounts
from banking.execution import vm
from banking.execution.programs import Programs
from banking.ledger import scripts
from oracle import Report
from recovery.scripts import LuaScript
from tests.support.ledgers import SOL
from tests.support.oracle import instructions as make
from tests.support.oracle import program_doings, sbpf
from tests.support.oracle.opinions import opinion
from tests.support.oracle.town import Town
from tests.support.oracle.users import deploy, errors, tell


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    client: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    yield client
    client.close()


def verdict(town: Town) -> Report:
    town.seal()
    return opinion(town.world.blocks)


def found(report: Report) -> set[str]:
    """The kinds of fields in which the two differ."""
    assert not report.ok, "the planted bug was not found"
    return {divergence.field.partition(" ")[0] for divergence in report.divergences}


# ---- C3 and M9: code that the ledger does not hold any more


class StalePrograms(Programs):
    """Only the program's own record is compared, which an upgrade or a close does not change."""

    def __init__(self) -> None:
        super().__init__()
        self._own: dict[bytes, bytes] = {}

    def is_current(self, key: bytes, record: bytes, view: Mapping[bytes, bytes]) -> bool:
        return self._own.get(key) == record

    def compiled(self, key: bytes, record: bytes, data_key: bytes | None, data: bytes) -> None:
        self._own[key] = record
        super().compiled(key, record, data_key, data)


def upgrade(town: Town) -> None:
    """Deployed by one stage, called by another, upgraded by the first, called by the other."""
    program, authority = deploy(town, sbpf.telling(1)), town.people[0]
    tell(town, program, 1)
    town.seal()
    buffer, transactions = program_doings.fill_buffer(town, sbpf.telling(2))
    step = make.upgrade(program, buffer.pubkey(), authority.pubkey())
    assert errors(town, [*transactions, town.sign([step], [authority])], 0) == [None] * 4
    tell(town, program, 1)


def close(town: Town) -> None:
    """Closed by one stage, called by another that has it compiled."""
    program, authority = deploy(town, sbpf.telling(1)), town.people[0]
    tell(town, program, 1)
    town.seal()
    town.one(town.sign([make.close_program(program, authority.pubkey())], [authority]), 0)
    tell(town, program, 1)


@pytest.mark.parametrize("planted", [False, True])
@pytest.mark.parametrize("history", [upgrade, close])
def test_c3_stale_programs(client: redis.Redis, monkeypatch: pytest.MonkeyPatch, history: Any, planted: bool) -> None:
    if planted:
        monkeypatch.setattr(vm, "Programs", StalePrograms)
    town = Town.found(client)
    history(town)
    report = verdict(town)
    assert report.ok is not planted, report.lines()
    if planted:
        assert "logs" in found(report)


# ---- C4: versions that come again after a lost tail


def script_with_plain_versions(folder: Path) -> LuaScript:
    """The commit script as it was: a version is the sequence number alone."""
    text = scripts.LUA["commit"].source
    plain, count = re.subn(r"(key, numbers\[i\]) \.\. ':' .*", r"\1", text)
    # The same of plain accounts, whose lamports stand before the number.
    whole = "expected[by][n] ~= (current[n] or '')"
    compared = plain.count(whole)
    from_number = "sub(expected[by][n], by == 1 and 9 or 1) ~= sub(current[n] or '', by == 1 and 9 or 1)"
    plain = plain.replace(whole, from_number)
    assert (count, compared) == (1, 1)
    path = folder / "commit.lua"
    path.write_text(plain)
    return LuaScript(path)


@pytest.mark.parametrize("planted", [False, True])
def test_c4_versions_that_come_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, planted: bool) -> None:
    """Redis loses an unsealed tail while a stage is paused; an account's version comes again with less money in it."""
    if planted:
        monkeypatch.setitem(scripts.LUA, "commit", script_with_plain_versions(tmp_path))
    server = fakeredis.FakeServer(version=(6, 2))
    town = Town.found(fakeredis.FakeRedis(server=server), 3)
    rich, poor, other = town.people[:3]
    owner, target = town.new_key(), town.new_key()

    def pay(source: Any, to: Any, lamports: int) -> Any:
        params = TransferParams(from_pubkey=source.pubkey(), to_pubkey=to.pubkey(), lamports=lamports)
        return town.sign([transfer(params)], [source])

    town.run([pay(rich, owner, 10 * SOL)])
    town.seal()
    databases = server.dbs
    before = copy.deepcopy(dict(databases[0]))
    town.run([pay(poor, owner, 489 * SOL)])

    def lose_the_tail_and_go_on() -> None:
        with server.lock:
            databases[0].clear()
            for key, value in before.items():
                databases[0][key] = value
        town.run([pay(other, owner, SOL)], 2)

    town.paused([pay(owner, target, 400 * SOL)], 1, lose_the_tail_and_go_on)
    report = verdict(town)
    assert report.ok is not planted, report.lines()
    if planted:
        assert {"error", "account"} <= found(report)


# ---- S1: reserved keys that are taken for writable


def pay_to_reserved(town: Town) -> None:
    payer = town.people[1]
    for number, key in enumerate(make.RESERVED[:4]):
        params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=key, lamports=1_000_000 + number)
        town.one(town.sign([transfer(params)], [payer]), number)


@pytest.mark.parametrize("planted", [False, True])
def test_s1_reserved_keys_as_writable(client: redis.Redis, monkeypatch: pytest.MonkeyPatch, planted: bool) -> None:
    if planted:
        monkeypatch.setattr(accounts, "RESERVED", frozenset())
    town = Town.found(client)
    pay_to_reserved(town)
    report = verdict(town)
    assert report.ok is not planted, report.lines()
    if planted:
        assert found(report)


# ---- S6: sysvars that an earlier transaction of the process left there


class LeftBehind(vm.Vm):
    """The sysvars in `kept` are set once, and then stay as they are."""

    kept: tuple[bytes, ...] = ()

    def _set_sysvars(self, keys: Iterable[bytes]) -> None:
        done = self.__dict__.setdefault("_done", set())
        super()._set_sysvars([key for key in keys if key not in done])
        done.update(key for key in keys if key in self.kept)


def look_at_sysvars(town: Town) -> None:
    program, payer = deploy(town, sbpf.peeking(40)), town.people[2]
    for number in range(2):
        for key in (make.CLOCK, make.SLOT_HASHES, make.RECENT_BLOCKHASHES):
            transaction = town.sign([make.call(program, bytes([number]), (key, ""))], [payer])
            assert town.one(transaction, 0).err is None
        town.seal()


@pytest.mark.parametrize("key", [None, make.CLOCK, make.SLOT_HASHES, make.RECENT_BLOCKHASHES])
def test_s6_sysvars_left_behind(client: redis.Redis, monkeypatch: pytest.MonkeyPatch, key: Any) -> None:
    monkeypatch.setattr(LeftBehind, "kept", (bytes(key),) if key else ())
    monkeypatch.setattr("banking.execution.executor.Vm", LeftBehind)
    town = Town.found(client)
    look_at_sysvars(town)
    report = verdict(town)
    assert report.ok is (key is None), report.lines()
    if key:
        assert {"return", "logs"} & found(report)


def test_s6_a_table_that_dies_too_soon(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the hashes of the slots before, a deactivated lookup table is gone at once."""
    monkeypatch.setattr("banking.ledger.slot_context.SLOT_HASHES", 1)
    town = Town.found(client)
    assert errors(town, program_doings.make_table(town, 0, 0)) == [None, None]
    town.seal()
    assert errors(town, program_doings.end_table(town, 0, 1)) == [None]
    town.seal(3)
    # Refused without a fee, and so in no block; but whoever looks at the hashes tells.
    assert errors(town, program_doings.use_table(town, 0, 5)) == ['"AddressLookupTableNotFound"']
    looking = make.call(deploy(town, sbpf.peeking(8)), b"", (make.SLOT_HASHES, ""))
    assert errors(town, [town.sign([looking], [town.people[0]])]) == [None]
    assert "return" in found(verdict(town))
