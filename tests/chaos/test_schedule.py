"""Which faults there are, and when they come."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.chaos.nemesis.all_kinds import KINDS
from tests.chaos.nemesis.kinds import Fault, register
from tests.chaos.nemesis.schedule import cycles


def test_the_same_seed_has_the_same_schedule() -> None:
    assert list(islice(cycles(7, KINDS), 100)) == list(islice(cycles(7, KINDS), 100))


def test_another_seed_has_another() -> None:
    assert list(islice(cycles(7, KINDS), 10)) != list(islice(cycles(8, KINDS), 10))


def test_every_kind_comes_before_any_comes_twice() -> None:
    names: list[str] = []
    for cycle in cycles(7, KINDS):
        names += [strike.kind for strike in cycle.strikes]
        if len(names) >= len(KINDS):
            break
    assert set(names[: len(KINDS)]) == set(KINDS)


def test_faults_come_alone_and_together_but_never_two_of_one_thing() -> None:
    found = list(islice(cycles(7, KINDS), 200))
    assert {len(cycle.strikes) for cycle in found} == {1, 2, 3}
    for cycle in found:
        touched = [thing for strike in cycle.strikes for thing in KINDS[strike.kind].touches]
        assert len(touched) == len(set(touched)), cycle


def test_there_are_the_kinds_that_the_report_promises() -> None:
    assert len(KINDS) >= 60


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="two kinds"):
        register("worker-kill", Fault)
