"""The first signal ends the work; further ones only hurry the clean-up."""

from __future__ import annotations

import os
import signal

import pytest

from workers.supervisor.stop_signals import NUMBERS, StopRequested, StopSignals


@pytest.mark.parametrize("number", NUMBERS)
def test_first_signal_raises_and_the_second_hurries(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopSignals() as signals:
        with pytest.raises(StopRequested, match=number.name) as caught:
            os.kill(os.getpid(), number)
        assert caught.value.number == number
        assert not signals.hurry.is_set()
        os.kill(os.getpid(), number)
        assert signals.hurry.is_set()
    assert signal.getsignal(number) == before


def test_a_signal_while_cleaning_up_interrupts_nothing() -> None:
    with StopSignals() as signals:
        signals.quiet()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.hurry.is_set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_a_finalizer_swallowed_is_raised_to_who_waits() -> None:
    class Interrupted:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with StopSignals() as signals:
        signals.check()
        del (holder := [Interrupted()])[0]
        assert holder == []
        with pytest.raises(StopRequested, match="SIGTERM"):
            signals.check()
