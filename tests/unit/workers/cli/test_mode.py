"""The `mode` commands as an operator types them."""

from __future__ import annotations

import json

import click
import fakeredis
import pytest
from click.testing import CliRunner, Result

from recovery.degradation import DegradationManager, DegradationMode, Rule, SharedRules
from workers.cli.arguments import DurationType
from workers.cli.commands.mode import mode


class Shell:
    """Each command line gets a manager of its own on the same Redis, as separate processes do."""

    def __init__(self) -> None:
        self._client = fakeredis.FakeRedis(version=(6, 2))

    def manager(self) -> DegradationManager:
        manager = DegradationManager(self._client, poll_timeout=5.0)
        manager.register("ledger", ["READ", "WRITE"])
        return manager

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(mode, words, obj=self.manager)


@pytest.fixture
def shell() -> Shell:
    return Shell()


def test_set_list_explain_history_clear(shell: Shell) -> None:
    done = shell("set", "ledger", "read_only", "--for", "10m", "--reason", "disk swap", "--actor", "ann")
    assert (done.exit_code, done.output) == (0, "ledger is set to READ_ONLY for 600 s.\n")
    listed = shell("list").output
    assert "ledger                   READ_ONLY" in listed
    assert "override by ann, 600 s left): disk swap" in listed
    assert json.loads(shell("list", "--json").output)["components"]["ledger"]["mode"] == "READ_ONLY"
    assert (
        "WRITE is refused: ledger is READ_ONLY because of the override by ann"
        in shell("explain", "ledger", "write").output
    )
    assert shell("clear", "ledger", "--reason", "done").output == "The override of ledger is gone; it is NORMAL.\n"
    newest, oldest = shell("history").output.splitlines()
    assert "ledger READ_ONLY -> NORMAL (clear, " in newest
    assert "ledger NORMAL -> READ_ONLY (set, ann): disk swap" in oldest


def test_the_history_names_the_user_by_default(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "dee")
    shell("set", "system", "OFFLINE", "--reason", "drill", "--operation", "WRITE")
    assert "system/WRITE NORMAL -> OFFLINE (set, dee@" in shell("history").output


def test_a_milder_override_says_what_is_in_force(shell: Shell) -> None:
    shell("set", "system", "OFFLINE", "--reason", "drill", "--actor", "ann")
    told = shell("set", "ledger", "READ_ONLY", "--reason", "x").output
    assert "In force is OFFLINE, which is stricter." in told
    assert "override by ann that puts system in OFFLINE" in told


def test_rules_can_be_told_to_begin_anew(shell: Shell) -> None:
    rule = Rule("late", "ledger", "lag_s", enter=10, leave=2, mode=DegradationMode.READ_ONLY, dwell=600)
    SharedRules(shell.manager(), [rule]).evaluate({"lag_s": 50.0})
    assert "ledger READ_ONLY (rule late): lag_s = 50" in shell("list").output
    assert "no override" in shell("clear", "ledger").output
    done = shell("clear", "ledger", "--rules", "--actor", "ann", "--reason", "faulty probe")
    assert done.output == "1 rule of ledger begins anew; it is NORMAL.\n"
    assert "ledger READ_ONLY -> NORMAL (clear, ann): faulty probe" in shell("history").output
    (decision,) = SharedRules(shell.manager(), [rule]).evaluate({"lag_s": 50.0})
    assert decision.state.mode is DegradationMode.READ_ONLY, "still bad: decided again, no dwell"


def test_a_dry_run_needs_no_reason_and_changes_nothing(shell: Shell) -> None:
    assert shell("set", "ledger", "READ_ONLY", "--dry-run").output == "would refuse ledger WRITE\n"
    assert "Nothing" in shell("set", "ledger", "NORMAL", "--dry-run").output
    assert shell("history").output == ""


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("set", "ledger", "AWAY", "--reason", "x"), 2, "AWAY"),
        (("set", "ledger", "OFFLINE"), 2, "--reason"),
        (("set", "ledger", "OFFLINE", "--reason", "x", "--for", "soon"), 2, "write it like 30s, 10m, 2h"),
        (("explain", "ledger", "process_transaction"), 2, "process_transaction"),
        (("set", "a/b", "OFFLINE", "--reason", "x"), 1, "'a/b' is no name"),
        (("clear", "ledger"), 1, "no override"),
    ],
)
def test_mistakes_get_words_and_an_exit_code(shell: Shell, words: tuple[str, ...], code: int, says: str) -> None:
    result = shell(*words)
    assert result.exit_code == code
    assert says in result.output
    assert "Traceback" not in result.output


def test_without_redis_the_error_is_one_line() -> None:
    server = fakeredis.FakeServer()
    server.connected = False
    make = lambda: DegradationManager(fakeredis.FakeRedis(server=server))  # noqa: E731
    result = CliRunner().invoke(mode, ["list"], obj=make)
    assert result.exit_code == 1
    assert "Redis does not answer" in result.output


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400), ("45", 45), ("1.5m", 90)]
)
def test_durations(text: str, seconds: float) -> None:
    assert DurationType().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5s", "10x", "m", "1e3", "99999999d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no duration"):
        DurationType().convert(text, None, None)
