"""The checker on small stories that somebody made up: what it must say, and what it must not."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from tests.chaos.checker.answers import Answers
from tests.chaos.checker.ledger import Remains
from tests.chaos.checker.losses import Losses
from tests.chaos.checker.world import Outcome, State, World
from tests.chaos.history import Row
from tests.support.paths import ROOT

CHECKER = ROOT / "tests" / "chaos" / "checker"


def test_it_shares_no_code_with_the_pipeline() -> None:
    allowed = ("oracle", "tests.chaos.checker", "tests.chaos.history", "solders", "redis")
    ours = ("banking", "config", "recovery", "rpc", "tasks", "tests", "workers")
    for path in CHECKER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            assert not [name for name in names if name.startswith(ours) and not name.startswith(allowed)], path


class Story:
    """A history and a world in which `a` was executed in slot 5, and its account had 10 and then 20 lamports."""

    def __init__(self) -> None:
        self.world = World()
        self.world.outcomes["a"].append(Outcome(5, 1, None, free=False))
        self.world.states["key"] += [State(2, 10, "x"), State(5, 20, "x")]
        self.world.head = type("Header", (), {"slot": 9, "epoch": 1, "last_seq": 1})
        self.remains = Remains()
        self.rows: list[Row] = []

    def add(self, kind: str, t1: float = 100.0, **fields: Any) -> Story:
        self.rows.append({"kind": kind, "t0": t1 - 1, "t1": t1, **fields})
        return self

    def submitted(self, sig: str = "a", t1: float = 100.0, **fields: Any) -> Story:
        one = {"sig": sig, "what": "transfer", "verdict": "accepted", "level": "accepted", "slot": None, "err": None,
               "refused": False, "archived": None, **fields}  # fmt: skip
        return self.add("submit", t1, txs=[one], unanswered=[])

    def balance(self, slot: int, lamports: int, commitment: str = "finalized", t1: float = 100.0) -> Story:
        values = [{"key": "key", "lamports": lamports}]
        return self.add("rpc", t1, method="getBalance", error="", commitment=commitment, slot=slot, values=values)

    def fault(self, loses: str, since: float | None, lost_at: float, end: float) -> Story:
        return self.add("fault", end, name="f", loses=loses, since=since, lost_at=lost_at, healed=end, damaged=[])

    def rules(self) -> list[str]:
        found = Answers(self.rows, self.world, self.remains, Losses.of(self.rows)).judge()
        return [violation.rule for violation in found]


def test_true_answers_are_no_violations() -> None:
    story = Story().submitted(level="finalized", slot=5, archived=True).balance(5, 20).balance(4, 10)
    assert story.balance(1, 0).rules() == []


def test_an_accepted_transaction_without_an_end() -> None:
    assert Story().submitted("b").rules() == ["I3 lost"]


def test_what_redis_may_lose_is_no_violation_and_what_comes_after_is_one() -> None:
    lossy = Story().fault("unfinal", None, 110.0, 115.0)
    assert lossy.submitted("b", t1=105.0).rules() == []
    assert Story().fault("unfinal", None, 110.0, 115.0).submitted("b", t1=112.5).rules() == ["I3 lost"]


def test_a_lost_tail_reaches_back_only_so_far() -> None:
    assert Story().fault("tail", 107.0, 110.0, 115.0).submitted("b", t1=106.0).rules() == ["I3 lost"]
    assert Story().fault("tail", 107.0, 110.0, 115.0).submitted("b", t1=108.0).rules() == []


@pytest.mark.parametrize("told", [{"slot": 6}, {"slot": 5, "err": '"AccountNotFound"'}])
def test_a_final_answer_that_the_archive_does_not_have(told: dict[str, Any]) -> None:
    for loses in ("nothing", "unfinal"):
        story = Story().fault(loses, None, 110.0, 115.0).submitted(level="finalized", archived=True, **told)
        assert story.rules() == ["I4 final"]


def test_a_final_answer_before_its_block_was_there() -> None:
    assert Story().submitted(level="finalized", slot=5, archived=False).rules() == ["I10 too early"]


def test_a_processed_answer_that_did_not_stay() -> None:
    assert Story().submitted(level="processed", slot=6).rules() == ["I10 processed"]
    assert Story().fault("unfinal", None, 110.0, 115.0).submitted(level="processed", slot=6).rules() == []


def test_a_balance_that_the_oracle_does_not_have() -> None:
    assert Story().balance(4, 20).rules() == ["I10 balance"]
    assert Story().balance(9, 10, "processed").rules() == ["I10 balance"]
    assert Story().fault("unfinal", None, 110.0, 115.0).balance(9, 10, "processed").rules() == []
    assert Story().fault("unfinal", None, 110.0, 115.0).balance(9, 10, "finalized").rules() == ["I10 balance"]


def test_a_refusal_that_was_executed() -> None:
    assert Story().submitted(refused=True, verdict="accepted", level=None).rules() == ["I10 refusal"]
    again = Story().submitted(refused=True, level=None).add("trying", 150.0, sigs=["a"])
    assert again.rules() == []


def test_a_rejection_that_was_executed() -> None:
    assert Story().submitted(verdict="rejected", level=None).rules() == ["I10 refusal"]
    assert Story().submitted(verdict="rejected", level=None).submitted().rules() == []


def test_a_failed_preflight_that_was_executed() -> None:
    failed: dict[str, Any] = {
        "method": "sendTransaction",
        "error": "-32002",
        "code": -32002,
        "sig": "a",
        "what": "transfer",
    }
    assert Story().add("rpc", **failed).rules() == ["I10 refusal"]


def test_two_ends() -> None:
    story = Story().submitted()
    story.remains.dead.add("a")
    assert story.rules() == ["I3 two ends"]


def test_a_dead_letter_where_nothing_died() -> None:
    story = Story().submitted("b")
    story.remains.dead.add("b")
    assert story.rules() == ["I3 dead letter"]


def test_work_that_is_left() -> None:
    assert Story().add("unsettled", left={"intake": 1}).rules() == ["I3 bound"]
    story = Story().submitted("b")
    story.remains.waiting.add("b")
    assert story.rules() == ["I3 lost", "I3 bound"]
