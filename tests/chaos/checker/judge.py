"""The verdict over one storm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from oracle import Source
from tests.chaos.checker.answers import Answers
from tests.chaos.checker.ledger import read_remains
from tests.chaos.checker.losses import Losses
from tests.chaos.checker.violation import Violation
from tests.chaos.checker.world import World, read_world
from tests.chaos.history import Row


@dataclass(frozen=True)
class Verdict:
    """All violations, and how much was judged."""

    violations: Sequence[Violation]
    world: World
    answers: int


def judge(rows: Sequence[Row], source: Source, key_file: Path, client: redis.Redis, ledger: str) -> Verdict:
    """Judge a storm that is over: `rows` is its history, `source` has the ledger's blocks."""
    damaged = {name for row in rows if row["kind"] == "fault" for name in row["damaged"]}
    world = read_world(source, key_file, damaged)
    remains = read_remains(client, ledger, world)
    answers = Answers(rows, world, remains, Losses.of(rows))
    violations = [*world.violations, *remains.violations, *answers.judge()]
    return Verdict(violations, world, answers.judged)
