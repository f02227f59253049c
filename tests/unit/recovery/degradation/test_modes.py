"""What each mode allows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.degradation import ALLOWED, DegradationMode, OperationType, UnknownMode, UnknownOperation
from recovery.degradation.modes import ADMINISTRATIVE, is_allowed

#: The table of the seed, with administrative operations allowed everywhere.
READS = {"READ", "GET", "QUERY", "LIST", "FETCH"}
ESSENTIAL = {"HEALTH_CHECK", "HEARTBEAT", "STATUS"}
ADMIN = {"SHUTDOWN", "RESTART", "CONFIG_UPDATE"}
EXPECTED = {
    "NORMAL": set(OperationType.__members__),
    "READ_ONLY": READS | ESSENTIAL | ADMIN,
    "ESSENTIAL_ONLY": ESSENTIAL | ADMIN,
    "OFFLINE": ADMIN,
}


@pytest.mark.parametrize("mode", DegradationMode)
def test_each_mode_allows_what_the_table_says(mode: DegradationMode) -> None:
    assert {kind.value for kind in OperationType if is_allowed(mode, kind)} == EXPECTED[mode.name]


@given(st.sampled_from(OperationType), st.sampled_from(DegradationMode), st.sampled_from(DegradationMode))
def test_what_a_stricter_mode_allows_a_milder_one_allows_too(
    kind: OperationType, one: DegradationMode, other: DegradationMode
) -> None:
    assert is_allowed(min(one, other), kind) or not is_allowed(max(one, other), kind)


def test_every_step_takes_something_away() -> None:
    for milder, stricter in itertools.pairwise(DegradationMode):
        assert ALLOWED[stricter] < ALLOWED[milder]
        assert ALLOWED[stricter] >= ADMINISTRATIVE


@given(st.text())
def test_a_name_that_is_no_operation_is_an_error_and_never_a_read(name: str) -> None:
    if name.upper() in OperationType.__members__:
        assert OperationType.parse(name).value == name.upper()
    else:
        with pytest.raises(UnknownOperation):
            OperationType.parse(name)


def test_process_transaction_is_no_operation_name() -> None:
    with pytest.raises(UnknownOperation, match="the operations are READ"):
        OperationType.parse("process_transaction")


def test_modes_are_known_by_name_in_any_case() -> None:
    assert DegradationMode.parse("read_only") is DegradationMode.READ_ONLY
    with pytest.raises(UnknownMode, match="NORMAL, READ_ONLY, ESSENTIAL_ONLY, OFFLINE"):
        DegradationMode.parse("readonly")
