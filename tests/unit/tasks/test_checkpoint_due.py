"""When a checkpoint is due: by time, and by number as far as that does not cost too much."""

from __future__ import annotations

import fakeredis
import pytest

from banking.ledger.ledger import Ledger
from banking.ledger.observing import read_notes, write_note
from config.sections import CheckpointSettings
from tasks.checkpoints import is_due

SETTINGS = CheckpointSettings(interval=60.0, transactions=1_000)


@pytest.mark.parametrize(
    ("age", "grown", "took", "due"),
    [
        pytest.param(0.4, 1_000, 0.0, True, id="number, nothing known of the cost"),
        pytest.param(0.4, 999, 0.0, False, id="neither"),
        pytest.param(5.0, 45_000, 1.2, False, id="under load the next would follow at once"),
        pytest.param(24.0, 45_000, 1.2, True, id="a twentieth of the time"),
        pytest.param(59.9, 500_000, 10.0, False, id="dear"),
        pytest.param(60.0, 0, 10.0, True, id="time, whatever it costs"),
    ],
)
def test_checkpoints_by_number_take_a_twentieth_of_the_time(age: float, grown: int, took: float, due: bool) -> None:
    assert is_due(SETTINGS, age=age, grown=grown, took=took) is due


def test_the_note_of_a_checkpoint_says_how_long_it_took() -> None:
    ledger = Ledger(fakeredis.FakeRedis(version=(6, 2)), "due")
    assert read_notes(ledger) == {}
    write_note(ledger, "checkpoint", {"seconds": 1.25})
    assert read_notes(ledger)["checkpoint"]["seconds"] == 1.25
