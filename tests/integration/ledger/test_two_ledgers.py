"""Two ledgers on one Redis, broker included: neither's workers touch the other's transactions."""

from __future__ import annotations

import pytest

from tests.support.pipelines import MakePipeline

pytestmark = pytest.mark.processes


def test_workers_of_one_ledger_leave_the_other_ledgers_messages_alone(make_pipeline: MakePipeline) -> None:
    one = make_pipeline(ledger="one")
    two = make_pipeline(one.settings.redis.url, ledger="two")
    one.start(1)
    idle = two.transfers(20)
    two.submit(idle)
    busy = one.transfers(20)
    one.submit(busy)
    one.assert_sound(busy)
    # Nothing of the other ledger's moved, neither here nor there.
    assert two.resolved() == 0
    assert one.resolved() == len(busy)
    two.start(1)
    two.assert_sound(idle)
    assert one.resolved() == len(busy)
    assert not one.foreign_letters()
    assert not two.foreign_letters()
