"""Random histories of what users do, on several stages at once: the oracle agrees with whatever came out."""

from __future__ import annotations

from dataclasses import dataclass

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.oracle.doings import DOINGS
from tests.support.oracle.opinions import assert_agrees
from tests.support.oracle.program_doings import PROGRAM_DOINGS
from tests.support.oracle.sandbox_doings import SANDBOX_DOINGS
from tests.support.oracle.town import Town

ALL = {**DOINGS, **PROGRAM_DOINGS, **SANDBOX_DOINGS}
STAGES = 3


@dataclass(frozen=True)
class Step:
    """A doing on one stage; then the slot may be sealed.

    `meanwhile` is something else: in the same batch ("joined"), or by another stage, while this one is paused between
    execution and commit ("paused"), or while the slot is closed and its block not yet archived ("closed"). Or Redis is
    emptied while the stage is paused ("lost").
    """

    doing: str
    a: int
    b: int
    stage: int
    seal: bool
    how: str = "paused"
    meanwhile: Step | None = None


def steps(meanwhile: st.SearchStrategy[Step | None]) -> st.SearchStrategy[Step]:
    number = st.integers(0, 1_000)
    stage = st.integers(0, STAGES - 1)
    how = st.sampled_from(["paused", "paused", "closed", "closed", "joined", "lost"])
    return st.builds(Step, st.sampled_from(sorted(ALL)), number, number, stage, st.booleans(), how, meanwhile)


STEP = steps(st.none() | st.none() | steps(st.none()))


def play(town: Town, step: Step) -> None:
    """Do it, and what happens meanwhile."""
    other = step.meanwhile
    stage = other.stage + (other.stage == step.stage) if other is not None else 0

    def meanwhile() -> None:
        if other is not None:
            town.run(ALL[other.doing](town, other.a, other.b), stage)
            if other.seal and step.how == "paused":
                town.seal()

    batch = ALL[step.doing](town, step.a, step.b)
    foretold = town.foretold(batch[0], step.stage)
    known = town.world.ledger.outcomes([batch[0].signature])[0]
    if step.how == "joined" and other is not None:
        batch = [*batch, *ALL[other.doing](town, other.a, other.b)]
        other = None
    if step.how == "lost":
        town.seal()
        town.paused(batch, step.stage, lambda: town.lose_redis(checkpoint=step.seal))
        return
    if step.how == "closed":
        (first, *_) = town.run(batch, step.stage)
        # A simulation is of the same moment, and so it must have said the same.
        assert known or first is None or (first.err, first.units, first.logs) == foretold
        town.seal(meanwhile=meanwhile)
        return
    town.paused(batch, step.stage, meanwhile)
    if step.seal:
        town.seal()


@pytest.mark.timeout(300)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(st.lists(STEP, min_size=10, max_size=40))
def test_every_history_is_what_one_vm_gets(history: list[Step]) -> None:
    client: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    town = Town.found(client, STAGES)
    for step in history:
        play(town, step)
    town.seal()
    assert_agrees(town.world.blocks)
    client.close()
