"""What a task's result says of where its outcomes stand, written and read again; and the kinds of errors."""

from __future__ import annotations

import pytest

from banking.execution.places import Place, failed_in, kind_of, places_in, places_text
from banking.execution.processor import BatchSummary


def test_places_and_failures_are_read_again() -> None:
    places = (Place(7, 100, 163), Place(8, 170, 170))
    summary = BatchSummary(committed=65, places=places, kinds=(("InstructionError.Custom", 2), ("AccountInUse", 1)))
    assert summary.whole_text == (
        "65 committed; 3 failed on chain (1 AccountInUse, 2 InstructionError.Custom); "
        "in slot 7: 100-163, slot 8: 170-170"
    )
    assert places_in(summary.whole_text) == list(places)
    assert failed_in(summary.whole_text) == 3
    assert 163 in places[0]
    assert 164 not in places[0]
    assert (places_in("64 committed"), failed_in("64 committed")) == ([], 0)
    assert places_text((), {}) == ""


def test_sums_keep_the_places_and_add_the_kinds() -> None:
    one = BatchSummary(committed=1, places=(Place(1, 1, 1),), kinds=(("A", 1),))
    assert (one + one).failed == {"A": 2}
    assert len((one + one).places) == 2


@pytest.mark.parametrize(
    ("err", "kind"),
    [
        ('"BlockhashNotFound"', "BlockhashNotFound"),
        ('{"InstructionError":[0,{"Custom":1}]}', "InstructionError.Custom"),
        ('{"InstructionError":[3,"InvalidArgument"]}', "InstructionError.InvalidArgument"),
        ('{"DuplicateInstruction":2}', "DuplicateInstruction"),
        ('{"InsufficientFundsForRent":{"account_index":1}}', "InsufficientFundsForRent"),
        ("{}", "unknown"),
    ],
)
def test_kinds_are_few(err: str, kind: str) -> None:
    assert kind_of(err) == kind
