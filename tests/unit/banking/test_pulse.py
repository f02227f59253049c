"""The pulse of a ledger: honest on a clock that runs, and soon honest again on one that jumped."""

from __future__ import annotations

import pytest
import redis

from banking.ledger.pulse import Pulse, PulseTaker
from recovery.clock import ManualClock
from tests.support.ledgers import World, new_world

HOUR = 3600.0
#: A server's clock is near that of the worlds, which take Redis' own time.
START = 4_000_000_000.0


class Patient:
    """A ledger with one taker of its pulse; `pass_time` moves all clocks, `jump` the server's alone."""

    def __init__(self, client: redis.Redis) -> None:
        self.world: World = new_world(client)
        self.clock = ManualClock(START)
        self.taker = self.another_taker()

    def another_taker(self) -> PulseTaker:
        """As a further process has it."""
        return PulseTaker(self.world.ledger, clock=self.clock, server_time=lambda: round(self.clock.time() * 1000))

    def queue(self) -> None:
        """A transaction is queued now, and stays."""
        queued = self.world.ledger.keys.queued
        self.world.ledger.client.zadd(queued, {"waiting": round(self.clock.time() * 1000)})

    def look_for(self, seconds: float, *, held: bool = False, seal: bool = False) -> Pulse:
        """One look a second; the last."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            if seal:
                self.world.seal()
            pulse = self.taker.take(held=held)
        return pulse


@pytest.fixture
def patient(any_redis: redis.Redis) -> Patient:
    return Patient(any_redis)


def test_sealing_in_time_is_never_late(patient: Patient) -> None:
    pulse = patient.look_for(5, seal=True)
    assert (pulse.seal_age, pulse.clock_back, pulse.sealing) == (0.0, 0.0, True)
    assert pulse.backlog_age is None
    assert pulse.longest is None


def test_what_is_late_is_as_late_as_it_is(patient: Patient) -> None:
    patient.look_for(1, seal=True)
    patient.queue()
    pulse = patient.look_for(40)
    assert (pulse.seal_age, pulse.backlog_age, pulse.sealing) == (40.0, 40.0, False)


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_after_a_jump_of_the_clock_lateness_grows_anew_from_there(patient: Patient, jump: float) -> None:
    patient.look_for(2, seal=True)
    patient.queue()
    patient.look_for(10)
    patient.clock.jump_wall(jump)
    pulse = patient.look_for(1)
    assert (pulse.seal_age, pulse.backlog_age) == (0.0, 0.0)
    assert pulse.clock_back == max(0.0, -jump - 1.0)
    # Neither an hour of silence nor an hour that never was.
    pulse = patient.look_for(20)
    assert (pulse.seal_age, pulse.backlog_age) == (20.0, 20.0)
    assert pulse.bounded(HOUR) == 20.0


def test_a_jump_back_is_seen_by_a_process_that_never_looked_before(patient: Patient) -> None:
    patient.look_for(2, seal=True)
    patient.clock.jump_wall(-HOUR)
    patient.taker = patient.another_taker()
    assert patient.look_for(1).clock_back == HOUR - 1.0
    assert patient.look_for(30).seal_age == 30.0


def test_the_signal_ends_when_the_clock_has_caught_up(patient: Patient) -> None:
    patient.look_for(1)
    patient.clock.jump_wall(-10.0)
    assert patient.look_for(1).clock_back == 9.0
    assert patient.look_for(9).clock_back == 0.0


def test_what_an_operator_held_back_has_not_waited(patient: Patient) -> None:
    patient.queue()
    pulse = patient.look_for(600, held=True, seal=True)
    assert pulse.backlog_age == 0.0
    assert patient.look_for(5, seal=True).backlog_age == 5.0
    # Sealing has nothing to do with it.
    assert patient.look_for(60, held=True).seal_age == 60.0


def test_a_small_step_of_time_synchronisation_is_no_event(patient: Patient) -> None:
    patient.look_for(1, seal=True)
    patient.queue()
    patient.look_for(10)
    patient.clock.jump_wall(-0.5)
    pulse = patient.look_for(10)
    assert (pulse.seal_age, pulse.backlog_age) == (19.5, 19.5)
