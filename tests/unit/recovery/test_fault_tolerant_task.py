"""What becomes of a task under FaultTolerantTask, message by message, on a broker in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
import redis
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from recovery import (
    DeadLetter,
    DeadLetters,
    FaultTolerantTask,
    Jitter,
    Refused,
    RetryBudget,
    RetryPolicy,
    TerminalError,
    TransientError,
    set_retry_hooks,
)
from recovery.clock import ManualClock
from recovery.dead_letters import DeadLettersFullError
from recovery.errors import ConfigurationError
from recovery.retry.events import RetryEvent, get_retry_hooks
from recovery.task.dead_letters import NotReplayableError, send_again
from tests.support.celery.doubles import Breaker, Gate, Work
from tests.support.celery.harness import Harness

WRITES = {"component": "cards", "operation": "WRITE"}
POLICY = RetryPolicy(max_attempts=3, initial_delay=0.25, jitter_factor=0.0)


@pytest.fixture
def harness() -> Harness:
    return Harness()


@pytest.fixture
def dead_letters() -> Iterator[DeadLetters]:
    client = fakeredis.FakeRedis(version=(6, 2))
    client.flushall()
    yield DeadLetters(client, "test")
    client.close()


@pytest.fixture
def events() -> Iterator[list[RetryEvent]]:
    before, seen = get_retry_hooks(), list[RetryEvent]()
    set_retry_hooks([seen.append])
    yield seen
    set_retry_hooks(before)


def make_task(harness: Harness, work: Work, **options: Any) -> FaultTolerantTask:
    values: dict[str, Any] = {"retry_policy": POLICY, "clock": harness.clock, **options}

    @harness.app.task(name="work", shared=False, base=FaultTolerantTask, bind=True, **values)
    def task(self: FaultTolerantTask, number: int, *, text: str = "") -> str:
        return work()

    assert isinstance(task, FaultTolerantTask)
    return task


def test_transient_errors_are_retried_with_the_policys_float_delays(harness: Harness, events: list[RetryEvent]) -> None:
    work = Work(TimeoutError("slow"), ConnectionResetError())
    make_task(harness, work).delay(1, text="x")
    ran = harness.steps()
    assert [one.state for one in ran] == ["RETRY", "RETRY", "SUCCESS"]
    assert [one.headers["retries"] for one in ran] == [0, 1, 2]
    assert [event.delay for event in events] == [0.25, 0.5]
    assert len({one.headers["id"] for one in ran}) == 1


def test_the_same_numbers_three_ways(harness: Harness, events: list[RetryEvent]) -> None:
    policy = RetryPolicy.preset("network", jitter=Jitter.DECORRELATED)
    errors = [TimeoutError()] * 4
    clock = ManualClock()
    random.seed(11)
    policy.using(clock=clock, hooks=[]).call(Work(*errors).__call__)
    random.seed(11)
    make_task(harness, Work(*errors), retry_policy=policy).delay(1)
    assert harness.steps()[-1].state == "SUCCESS"
    assert [event.delay for event in events] == clock.sleeps
    assert len(clock.sleeps) == 4


def test_retry_after_lengthens_the_wait(harness: Harness, events: list[RetryEvent]) -> None:
    make_task(harness, Work(TransientError("wait", retry_after=2.5), TransientError("wait", retry_after=1e9))).delay(1)
    harness.steps()
    assert [event.delay for event in events] == [2.5, POLICY.max_delay]


def test_used_up_attempts_end_as_a_dead_letter(harness: Harness, dead_letters: DeadLetters) -> None:
    work = Work(*[TimeoutError("slow")] * 9)
    sent = make_task(harness, work, dead_letters=dead_letters).apply_async((7,), {"text": "ü"})
    assert [one.state for one in harness.steps()] == ["RETRY", "RETRY", "FAILURE"]
    assert work.runs == 3
    (letter,) = dead_letters.list()
    assert (letter.id, letter.kind, letter.attempts) == (sent.id.encode(), "work", 3)
    assert letter.reason == "attempts used up: TimeoutError: slow"


def test_a_dead_letter_can_be_sent_again(harness: Harness, dead_letters: DeadLetters) -> None:
    work = Work(*[TimeoutError("slow")] * 3)
    sent = make_task(harness, work, dead_letters=dead_letters).apply_async((7,), {"text": "ü"})
    harness.steps()
    assert dead_letters.replay(sent.id.encode(), lambda letter: send_again(harness.app, letter))
    (ran,) = harness.steps()
    assert (ran.state, ran.headers["id"], ran.headers["retries"]) == ("SUCCESS", sent.id, 0)
    assert dead_letters.count() == 0


def test_what_is_no_task_cannot_be_sent_again(harness: Harness) -> None:
    letter = DeadLetter(id=b"x", kind="k", payload=b"{}", reason="", attempts=1, first_at=0.0, last_at=0.0)
    with pytest.raises(NotReplayableError):
        send_again(harness.app, letter)


def test_no_attempt_starts_past_the_deadline(harness: Harness, dead_letters: DeadLetters) -> None:
    work = Work(*[TimeoutError("slow")] * 9)
    policy = RetryPolicy(max_attempts=9, initial_delay=0.25, jitter_factor=0.0, deadline=10.0)
    make_task(harness, work, retry_policy=policy, dead_letters=dead_letters).delay(1)
    assert harness.step().state == "RETRY"  # type: ignore[union-attr]
    harness.clock.advance(10.5)  # the message was late
    assert harness.step().state == "FAILURE"  # type: ignore[union-attr]
    assert work.runs == 1
    (letter,) = dead_letters.list()
    assert "deadline" in letter.reason
    assert "TimeoutError: slow" in letter.reason
    assert letter.attempts == 1


def test_a_terminal_error_is_never_retried_and_no_dead_letter(harness: Harness, dead_letters: DeadLetters) -> None:
    recorded: list[TerminalError] = []

    class Recording(FaultTolerantTask):
        abstract = True

        def on_terminal(self, exc: TerminalError) -> None:
            recorded.append(exc)

    error, breaker = TerminalError("connection refused by the program"), Breaker()

    @harness.app.task(name="terminal", shared=False, base=Recording, dead_letters=dead_letters, breaker=breaker)
    def terminal() -> None:
        raise error

    terminal.delay()
    assert [one.state for one in harness.steps()] == ["FAILURE"]
    assert recorded == [error]
    assert dead_letters.count() == 0
    assert breaker.saw == [TerminalError]  # the breaker's own predicate sees its type and lets it pass


def test_a_bug_ends_as_a_dead_letter_at_once(harness: Harness, dead_letters: DeadLetters) -> None:
    make_task(harness, Work(KeyError("network")), dead_letters=dead_letters).delay(1)
    assert [one.state for one in harness.steps()] == ["FAILURE"]
    assert "not retryable: KeyError" in dead_letters.list()[0].reason


def test_bad_arguments_end_as_a_dead_letter_unseen_by_the_breaker(harness: Harness, dead_letters: DeadLetters) -> None:
    work, breaker = Work(), Breaker()
    task = make_task(harness, work, dead_letters=dead_letters, breaker=breaker)
    harness.app.send_task("work", args=[1, 2, 3])
    harness.app.send_task("work", args=[1], kwargs={"colour": "red"})
    task.delay(1)
    assert [one.state for one in harness.steps()] == ["FAILURE", "FAILURE", "SUCCESS"]
    assert {letter.reason.split(":")[0] for letter in dead_letters.list()} == {"bad arguments"}
    assert dead_letters.count() == 2
    assert (work.runs, breaker.permits) == (1, 1)


def test_a_refusing_gate_parks_and_burns_no_attempt(harness: Harness) -> None:
    gate, work = Gate(5), Work(TimeoutError(), TimeoutError())
    make_task(harness, work, gate=gate, **WRITES).delay(1)
    ran = harness.steps()
    assert [one.state for one in ran] == ["RETRY"] * 7 + ["SUCCESS"]
    assert [one.headers["retries"] for one in ran] == [0, 0, 0, 0, 0, 0, 1, 2]
    assert set(gate.asked) == {("cards", "WRITE")}
    assert work.runs == 3


def test_an_open_breaker_parks_and_burns_no_attempt(harness: Harness) -> None:
    breaker, work = Breaker(times=20), Work(TimeoutError())
    make_task(harness, work, breaker=breaker).delay(1)
    ran = harness.steps()
    assert ran[-1].state == "SUCCESS"
    assert ran[-1].headers["retries"] == 1
    assert work.runs == 2
    assert breaker.saw == [TimeoutError, None]


def test_a_refusal_from_further_in_parks_too(harness: Harness) -> None:
    make_task(harness, Work(*[Refused("upstream open", retry_after=0.5)] * 6)).delay(1)
    ran = harness.steps()
    assert [one.headers["retries"] for one in ran] == [0] * 7
    assert ran[-1].state == "SUCCESS"


def test_time_spent_parked_does_not_count_against_the_deadline(harness: Harness) -> None:
    gate, work = Gate(3), Work()
    policy = RetryPolicy(deadline=5.0)
    make_task(harness, work, gate=gate, retry_policy=policy, **WRITES).delay(1)
    for _ in range(3):
        assert harness.step().state == "RETRY"  # type: ignore[union-attr]
        harness.clock.advance(100.0)
    assert harness.step().state == "SUCCESS"  # type: ignore[union-attr]


def test_an_overridden_park_keeps_the_work_elsewhere(harness: Harness) -> None:
    kept: list[float] = []

    class Elsewhere(FaultTolerantTask):
        abstract = True
        gate = Gate(1)
        component, operation = "cards", "WRITE"

        def park(self, delay: float, exc: Exception) -> None:
            kept.append(delay)

    @harness.app.task(name="elsewhere", shared=False, base=Elsewhere)
    def elsewhere() -> None: ...

    elsewhere.delay()
    assert [one.state for one in harness.steps()] == ["RETRY"]  # and no second message
    assert len(kept) == 1
    assert 2.0 <= kept[0] <= 2.2


def test_an_exhausted_budget_parks_and_still_counts_real_attempts(harness: Harness) -> None:
    budget = RetryBudget(None, floor_per_second=0.1, clock=harness.clock)
    assert budget.try_retry()  # the first token is gone
    work = Work(TimeoutError())
    make_task(harness, work, budget=budget).delay(1)
    for _ in range(5):
        assert harness.step().state == "RETRY"  # type: ignore[union-attr]
        assert work.runs == 1  # parked again and again: no attempt without a token
    harness.clock.advance(15.0)
    last = harness.step()
    assert last is not None
    assert (last.state, last.headers["retries"], work.runs) == ("SUCCESS", 1, 2)


def test_a_total_outage_stays_below_one_point_one_times_the_load(harness: Harness) -> None:
    work = Work(*[TimeoutError()] * 100_000)
    budget = RetryBudget(None, clock=harness.clock)
    task = make_task(harness, work, budget=budget)
    tasks = 200
    for _ in range(tasks):  # 20 a second
        task.delay(1)
        harness.clock.advance(0.05)
        harness.step()
    for _ in range(3 * tasks):  # and what was parked comes round again and again
        harness.clock.advance(0.001)
        assert harness.step() is not None
    assert tasks < work.runs < 1.1 * tasks


def test_a_failed_republish_hands_the_message_back(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    for refused in (Gate(0), Gate(9)):  # once for a retry, once for parking
        work = Work(TimeoutError())
        task = make_task(harness, work, gate=refused, **WRITES)
        task.delay(1)
        with monkeypatch.context() as patched:
            patched.setattr(harness.app.amqp, "send_task_message", _broker_gone)
            ran = harness.step()
        assert ran is not None
        assert ran.state == "REJECTED"
        assert isinstance(ran.result, Reject)
        assert getattr(ran.result, "requeue", None) is True
        assert harness.step() is None
        harness.app.tasks.unregister("work")


def test_an_early_acknowledged_task_is_kept_as_a_letter_when_publishing_fails(
    harness: Harness, dead_letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(harness, Work(TimeoutError()), acks_late=False, dead_letters=dead_letters).delay(1)
    with monkeypatch.context() as patched:
        patched.setattr(harness.app.amqp, "send_task_message", _broker_gone)
        assert harness.step().result.requeue is False  # type: ignore[union-attr]
    assert "could not be published" in dead_letters.list()[0].reason


def test_what_can_never_be_published_does_not_go_round_for_ever(
    harness: Harness, dead_letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_queue(*args: Any, **kwargs: Any) -> None:
        raise KeyError("queue")

    make_task(harness, Work(TimeoutError()), dead_letters=dead_letters).delay(1)
    with monkeypatch.context() as patched:
        patched.setattr(harness.app.amqp, "send_task_message", no_such_queue)
        assert harness.step().state == "FAILURE"  # type: ignore[union-attr]
    assert "cannot be published" in dead_letters.list()[0].reason


@pytest.mark.parametrize("problem", [redis.ConnectionError("away"), DeadLettersFullError("full")])
def test_a_letter_that_cannot_be_written_is_tried_again_without_an_attempt(
    harness: Harness, dead_letters: DeadLetters, problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(letter: DeadLetter) -> bool:
        raise problem

    work = Work(*[TimeoutError("slow")] * 9)
    make_task(harness, work, dead_letters=dead_letters).delay(1)
    with monkeypatch.context() as patched:
        patched.setattr(dead_letters, "add", refuse)
        assert [harness.step().state for _ in range(6)] == ["RETRY"] * 6  # type: ignore[union-attr]
    assert harness.step().state == "FAILURE"  # type: ignore[union-attr]
    assert harness.step() is None
    assert work.runs == 3
    (letter,) = dead_letters.list()
    assert (letter.attempts, letter.reason) == (3, "attempts used up: TimeoutError: slow")


def test_a_wait_longer_than_the_visibility_timeout_takes_several_messages(harness: Harness) -> None:
    harness.app.conf.broker_transport_options = {"visibility_timeout": 10}
    gate, work = Gate(1, retry_after=100.0), Work()
    make_task(harness, work, gate=gate, **WRITES).delay(1)
    assert harness.step().state == "RETRY"  # type: ignore[union-attr]
    hops = 0
    while (ran := harness.step()) is not None and ran.state == "RETRY":
        hops += 1
        harness.clock.advance(5.0)
    assert 20 <= hops <= 23
    assert work.runs == 1
    assert len(gate.asked) == 2


def test_a_torn_header_does_not_stop_the_task(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    task = make_task(harness, Work())
    headers: list[Any] = ["nonsense", {"first_at": "yesterday"}, {"unknown": 1}]
    for header in headers:
        task.apply_async((1,), headers={"x-recovery": header})
    assert [one.state for one in harness.steps()] == ["SUCCESS"] * 3
    assert caplog.text.count("x-recovery ignored") == 3


def test_called_directly_it_is_the_plain_function(harness: Harness) -> None:
    gate = Gate(9)
    task = make_task(harness, Work(), gate=gate, **WRITES)
    assert task(1) == "done"
    assert gate.asked == []


def test_eager_tasks_retry_at_once(harness: Harness) -> None:
    work = Work(TimeoutError(), TimeoutError())
    assert make_task(harness, work).apply((1,)).get() == "done"
    assert work.runs == 3


def _broker_gone(*args: Any, **kwargs: Any) -> None:
    raise OperationalError("broker gone")


@pytest.mark.parametrize("wrong", [{"gate": Gate(0)}, {"gate": Gate(0), "component": "cards"}, {"retry_policy": 3}])
def test_a_wrongly_declared_task_is_refused_when_it_is_registered(harness: Harness, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="work"):
        make_task(harness, Work(), **wrong).delay(1)
