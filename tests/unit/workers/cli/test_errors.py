"""What goes wrong is said in words on standard error, with the right exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import click.testing
import pytest
import redis
from kombu.exceptions import OperationalError

from config.addresses import masked
from config.errors import TrunklineError
from tests.support.cli.shell import run
from workers.cli.base import Program
from workers.cli.errors import CommandFailed
from workers.cli.program import main
from workers.supervisor.stop_signals import StopRequested


def failing(error: BaseException) -> click.testing.Result:
    """The result of a command that raises `error`."""

    @click.group(cls=Program)
    def program() -> None:
        pass

    @program.command()
    def fail() -> None:
        raise error

    return click.testing.CliRunner().invoke(program, ["fail"])


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (TrunklineError("Mend it like this."), 1, "Error: Mend it like this."),
        (redis.ConnectionError("refused"), 1, "Redis does not answer"),
        (redis.TimeoutError("slow"), 1, "trunkline up"),
        (redis.AuthenticationError("wrong"), 1, "TRUNKLINE_REDIS_URL"),
        (OperationalError("refused"), 1, "the broker does not answer"),
        (PermissionError(13, "Permission denied", "some/file"), 1, "some/file: Permission denied"),
        (click.UsageError("Not so."), 2, "Not so."),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (StopRequested(15), 143, "Interrupted."),
    ],
)
def test_every_error_is_words_and_a_code(error: BaseException, code: int, words: str) -> None:
    result = failing(error)
    assert result.exit_code == code
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_an_answer_of_no_needs_no_more_words() -> None:
    result = failing(CommandFailed(""))
    assert (result.exit_code, result.stderr) == (1, "")


def test_a_bug_says_so_and_shows_where_only_on_demand(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(RuntimeError("unforeseen"))
    assert result.exit_code == 1
    assert "bug in Trunkline: RuntimeError: unforeseen" in result.stderr
    assert str(plain / "log") in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("TRUNKLINE_DEBUG", "1")
    assert "Traceback" in failing(RuntimeError("unforeseen")).stderr


@pytest.mark.parametrize(
    "args",
    [
        ["no-such-command"],
        ["balance"],
        ["balance", "no-key"],
        ["airdrop", "11111111111111111111111111111112", "0"],
        ["airdrop", "11111111111111111111111111111112", "much"],
        ["transfer", "--to", "11111111111111111111111111111112", "--lamports", "1"],
        ["load", "--count", "0", "--accounts", "2"],
        ["load", "--count", "10", "--accounts", "1"],
        ["load", "--count", "10", "--accounts", "2", "--rate", "0"],
        ["status", "--wait", "-1"],
        ["up", "--fsync", "never"],
        ["up", "--no-flower", "--flower-port", "5000"],
        ["submit", "no-such-file"],
        ["deadletter", "replay"],
        ["deadletter", "replay", "some-id", "--all"],
        ["deadletter", "drop"],
    ],
)
def test_wrong_usage_is_code_2(plain: Path, args: list[str]) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "args",
    [
        ["status"],
        ["audit"],
        ["balance", "11111111111111111111111111111112"],
        ["deadletter", "list"],
        ["submit", "-"],
    ],
)
def test_without_an_instance_it_says_how_to_start_one(plain: Path, args: list[str]) -> None:
    result = run(*args)
    assert result.exit_code == 1
    assert str(plain) in result.stderr
    assert "trunkline up" in result.stderr


@pytest.mark.parametrize("place", ["before", "after", "inside a group", "nearest wins"])
def test_data_may_stand_anywhere(plain: Path, tmp_path: Path, place: str) -> None:
    folder = str(tmp_path / "elsewhere")
    args = {
        "before": ["--data", folder, "status"],
        "after": ["status", "--data", folder],
        "inside a group": ["deadletter", "--data", folder, "list"],
        "nearest wins": ["--data", "wrong", "deadletter", "--data", "wrong too", "list", "--data", folder],
    }[place]
    assert f"No running instance found in {folder}." in run(*args).stderr


def test_a_wrong_setting_is_named(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_BATCH_SIZE", "many")
    result = run("status")
    assert result.exit_code == 1
    assert "TRUNKLINE_BATCH_SIZE" in result.stderr


def test_a_server_that_is_away_is_told_within_the_timeout(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", "redis://127.0.0.1:1")
    for args in (["status"], ["submit", "-"], ["deadletter", "list"], ["init"]):
        result = click.testing.CliRunner().invoke(main, args, input="AAAA\n" if "submit" in args else None)
        assert result.exit_code == 1, args
        if "submit" not in args:  # nothing valid to submit: Redis is not even asked
            assert "does not answer" in result.stderr


@pytest.mark.parametrize("args", [[], ["deadletter"], ["breaker"]])
def test_nothing_asked_is_answered_by_help(plain: Path, args: list[str]) -> None:
    """A bare `trunkline` is somebody's first look, no mistake."""
    result = run(*args)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == run(*args, "--help").stdout
    assert result.stdout.startswith("Usage: ")


def test_help_and_version(plain: Path) -> None:
    whole = run("--help")
    assert whole.exit_code == 0
    for command in main.commands:
        assert f"\n  {command} " in whole.stdout
    assert "FILE" in run("submit", "--help").stdout
    assert "trunkline, version" in run("--version").stdout


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@127.0.0.1:6379/0", "redis://:***@127.0.0.1:6379/0"),
        ("redis://user:se@cret@host/1", "redis://user:***@host/1"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("unix:///some/path/redis.sock", "unix:///some/path/redis.sock"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_output_that_nobody_reads_is_no_bug() -> None:
    def broken(*_: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    result = failing(BrokenPipeError(32, "Broken pipe"))
    assert result.exit_code == 1
    assert "bug" not in result.output
