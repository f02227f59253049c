"""Each thing that is wrong with a deployment is found, with its fix; what is right is said to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import Settings
from recovery.archive import open_archive
from recovery.identity import Identity
from tests.support.overviews import waits
from workers.overview.doctor import Finding, Level, examine
from workers.overview.model import Overview


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir(mode=0o700)
    return made


def settings(folder: Path, **values: object) -> Settings:
    return Settings.from_variables(data_dir=folder, **values)


def found(
    made: Settings, overview: Overview, environment: Mapping[str, str] | None = None, *, subject: str = ""
) -> list[Finding]:
    """What is not as it should be, of one `subject` if named."""
    everything = examine(made, environment or {}, overview=overview)
    return [one for one in everything if one.level is not Level.OK and subject in ("", one.subject)]


def only(findings: list[Finding]) -> tuple[Level, str, str]:
    [one] = findings
    return one.level, one.what, one.fix


def test_nothing_is_wrong(folder: Path, healthy: Overview) -> None:
    everything = examine(settings(folder), {}, overview=healthy)
    # The disk of this machine may be full or not.
    assert [one for one in everything if one.level is not Level.OK and one.subject != "disk"] == []
    subjects = {one.subject for one in everything}
    assert {"variables", "settings", "folder", "disk", "broker", "memory", "work", "archive"} <= subjects


def test_redis(folder: Path, healthy: Overview) -> None:
    assert healthy.server is not None
    cases = {
        "version 6.0.9 is too old": {"version": "6.0.9"},
        "append-only file": {"aof": False},
        "allkeys-lru lets it throw parts of the ledger away": {"policy": "allkeys-lru"},
    }
    for text, facts in cases.items():
        server = replace(healthy.server, **facts)  # type: ignore[arg-type]
        level, what, fix = only(found(settings(folder), replace(healthy, server=server), subject="redis"))
        assert (level, text in what, bool(fix)) == (Level.ERROR, True, True)
    away = Overview("main", "unix:///r", problem="Redis does not answer", fix="Start it.")
    assert only(found(settings(folder), away, subject="redis")) == (Level.ERROR, "Redis does not answer", "Start it.")
    untold = found(settings(folder), replace(healthy, server=None), subject="redis")
    assert only(untold)[0] is Level.WARNING


@pytest.mark.parametrize(("limit", "text"), [(0, "no maxmemory"), (11 * 2**20, "are used")])
def test_memory(folder: Path, healthy: Overview, limit: int, text: str) -> None:
    assert healthy.server is not None
    tight = replace(healthy, server=replace(healthy.server, limit=limit))
    level, what, fix = only(found(settings(folder), tight, subject="memory"))
    assert (level, text in what) == (Level.WARNING, True)
    assert "maxmemory" in fix


def test_clock_and_work(folder: Path, healthy: Overview) -> None:
    assert "went back" in only(found(settings(folder), waits(healthy, clock_back=9.0), subject="clock"))[1]
    stopped = replace(healthy, workers=healthy.workers[1:])
    assert only(found(settings(folder), stopped, subject="work"))[:2] == (
        Level.ERROR,
        "Work has stopped: no worker takes transactions",
    )


def test_variables(folder: Path, healthy: Overview) -> None:
    level, what, _ = only(found(settings(folder), healthy, {"TRUNKLINE_REDIS_URI": "x"}, subject="variables"))
    assert (level, "did you mean TRUNKLINE_REDIS_URL?" in what) == (Level.ERROR, True)


@pytest.mark.parametrize(
    ("values", "level", "text"),
    [
        ({"redis_url": "redis://10.0.0.1/0", "profile": "prod"}, Level.ERROR, "has no password"),
        ({"redis_url": "redis://:x@10.0.0.1/0", "fsync": "always"}, Level.WARNING, "TRUNKLINE_FSYNC"),
        ({"profile": "staging", "rpc_cors_origins": "*"}, Level.WARNING, "any web page"),
        ({"checkpoint_interval": 0.1}, Level.WARNING, "more often than blocks"),
        ({"visibility_timeout": 5, "sweep_grace": 9.0}, Level.WARNING, "each runs twice"),
        ({"metrics_folder": "/nowhere/at/all"}, Level.WARNING, "nothing is counted"),
    ],
)
def test_settings_that_contradict(
    folder: Path, healthy: Overview, values: dict[str, object], level: Level, text: str
) -> None:
    found_level, what, fix = only(found(settings(folder, **values), healthy, subject="settings"))
    assert (found_level, text in what, bool(fix)) == (level, True, True)


def test_the_key_in_the_archive_that_it_vouches_for(folder: Path, healthy: Overview) -> None:
    archive = folder / "archive"
    archive.mkdir()
    made = settings(folder, profile="prod", archive_url=f"file://{archive}", identity=str(archive / "identity.json"))
    assert "vouches" in only(found(made, healthy, subject="settings"))[1]


def test_secrets_that_others_may_read(folder: Path, healthy: Overview) -> None:
    (folder / "faucet.json").write_text("[]")
    (folder / "faucet.json").chmod(0o644)
    level, _, fix = only(found(settings(folder), healthy, subject="folder"))
    assert (level, fix) == (Level.ERROR, f"chmod 600 {folder / 'faucet.json'}")
    missing = only(found(settings(folder / "other"), healthy, subject="folder"))
    assert (missing[0], "no data folder" in missing[1]) == (Level.WARNING, True)


def test_an_archive_without_blocks_and_one_that_is_not_reached(folder: Path, healthy: Overview) -> None:
    made = settings(folder)
    Identity.load_or_create(made.identity_path())
    assert [one.level for one in found(made, healthy) if one.subject == "archive"] == [Level.ERROR]
    open_archive(made.archive_location())
    assert "no block" in only(found(made, healthy, subject="archive"))[1]
