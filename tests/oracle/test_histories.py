"""Random histories of what users do, on several stages at once: the oracle agrees with whatever came out."""

from __future__ import annotations

from dataclasses import dataclass

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.doings import DOINGS
from tests.oracle.opinions import assert_agrees
from tests.oracle.program_doings import PROGRAM_DOINGS
from tests.oracle.town import Town

ALL = {**DOINGS, **PROGRAM_DOINGS}
STAGES = 3


@dataclass(frozen=True)
class Step:
    """A doing on one stage; then the slot may be sealed.

    `meanwhile` is done by another stage: while this one is paused between execution and commit, or, with `closed`,
    while the slot is closed and its block not yet archived.
    """

    doing: str
    a: int
    b: int
    stage: int
    seal: bool
    closed: bool = False
    meanwhile: Step | None = None


def steps(meanwhile: st.SearchStrategy[Step | None]) -> st.SearchStrategy[Step]:
    number = st.integers(0, 1_000)
    stage = st.integers(0, STAGES - 1)
    return st.builds(Step, st.sampled_from(sorted(ALL)), number, number, stage, st.booleans(), st.booleans(), meanwhile)


STEP = steps(st.none() | st.none() | steps(st.none()))


def play(town: Town, step: Step) -> None:
    """Do it, and what happens meanwhile."""
    other = step.meanwhile
    stage = other.stage + (other.stage == step.stage) if other is not None else 0

    def meanwhile() -> None:
        if other is not None:
            town.run(ALL[other.doing](town, other.a, other.b), stage)
            if other.seal and not step.closed:
                town.seal()

    batch = ALL[step.doing](town, step.a, step.b)
    if step.closed:
        town.run(batch, step.stage)
        town.seal(meanwhile=meanwhile)
        return
    town.paused(batch, step.stage, meanwhile)
    if step.seal:
        town.seal()


@pytest.mark.timeout(600)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(st.lists(STEP, min_size=5, max_size=40))
def test_every_history_is_what_one_vm_gets(history: list[Step]) -> None:
    client: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    town = Town.found(client, STAGES)
    for step in history:
        play(town, step)
    town.seal()
    assert_agrees(town.world.blocks)
    client.close()
