"""A misspelt setting is named, with the one that was probably meant."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import Settings, get_settings
from config.unknown import OTHER_VARIABLES, unknown_variables
from config.variables import all_settings
from tests.support.cli.program import environment
from tests.support.cli.shell import run
from tests.support.paths import ROOT

TYPO = "TRUNKLINE_BATCHSIZE"
SETTINGS = all_settings(Settings)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (TYPO, "did you mean TRUNKLINE_BATCH_SIZE?"),
        ("TRUNKLINE_REDISURL", "did you mean TRUNKLINE_REDIS_URL?"),
        ("TRUNKLINE_RCP_PORT", "did you mean TRUNKLINE_RPC_PORT?"),
        ("trunkline_batchsize", "did you mean TRUNKLINE_BATCH_SIZE?"),
        ("TRUNKLINE_SOMETHING_ELSE_ALTOGETHER", "docs/configuration.md"),
    ],
)
def test_it_is_named_with_the_nearest(name: str, words: str) -> None:
    [sentence] = unknown_variables(SETTINGS, {name: "secret", "PATH": ""})
    assert sentence.startswith(f"{name} is no setting")
    assert words in sentence
    assert "secret" not in sentence


def test_what_is_known_is_not_named() -> None:
    known = {"TRUNKLINE_BATCH_SIZE": "1", "trunkline_batch_size": "1", **OTHER_VARIABLES}
    assert unknown_variables(SETTINGS, known) == []


@pytest.mark.parametrize("command", ["up", "init", "demo", "rpc"])
def test_what_starts_something_refuses(plain: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv(TYPO, "5")
    result = run(command)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {TYPO} is no setting of Trunkline; did you mean TRUNKLINE_BATCH_SIZE?\n"
    assert not plain.exists()


def test_help_is_given_all_the_same(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TYPO, "5")
    assert "--workers" in run("up", "--help").stdout


def test_others_are_warned_once(plain: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv(TYPO, "5")
    monkeypatch.setattr("config.settings._warned", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            get_settings.cache_clear()
            get_settings()
    assert [record.getMessage() for record in caplog.records] == [
        f"{TYPO} is no setting of Trunkline; did you mean TRUNKLINE_BATCH_SIZE?"
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "celery", "-A", "workers.app", "worker", "-Q", "transactions"],
        ["-m", "workers.celery_process", "--app", "workers.app", "worker", "-Q", "transactions"],
        ["-m", "celery", "-A", "workers.app", "beat"],
        ["-m", "celery", "-A", "workers.app", "flower", "--port=0"],
        ["-m", "rpc"],
    ],
    ids=["worker", "lean worker", "beat", "flower", "rpc"],
)
def test_our_processes_do_not_start(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment(**{TYPO: "5"}, TRUNKLINE_REDIS_URL="redis://127.0.0.1:1", TRUNKLINE_DATA_DIR=str(tmp_path)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert f"{TYPO} is no setting of Trunkline; did you mean TRUNKLINE_BATCH_SIZE?" in done.stderr
    assert "Traceback" not in done.stderr
