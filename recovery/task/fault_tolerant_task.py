"""A base class for Celery tasks that retries, parks and gives up by policy, in any Celery project.

    @app.task(base=FaultTolerantTask, bind=True, retry_policy=RetryPolicy.preset("network"))
    def charge_card(self, order): ...

What happens to a run of the task:

- its gate refuses or its breaker is open: parked until `retry_after`; no attempt is used up;
- a transient error: Celery's own retry (RETRY in Flower), after the policy's delay to the millisecond;
- the retry budget is exhausted: parked, and the budget is asked again before the next attempt;
- attempts or deadline used up, wrong arguments, a bug: kept as a dead letter, and failed;
- a `TerminalError`: failed at once; `on_terminal` may record it.
"""

from __future__ import annotations

import inspect
import logging
import random
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, cast

from celery import Celery
from celery.exceptions import Retry, TaskPredicate

from recovery.errors import ConfigurationError, RecoveryError, Refused, TerminalError
from recovery.guarded import Guard
from recovery.protocols import BreakerProtocol, GateProtocol, RetryBudgetProtocol
from recovery.retry.backoff import retry_after_seconds
from recovery.retry.events import RetryEvent, Verdict, get_retry_hooks, notify
from recovery.retry.policy import RetryPolicy
from recovery.task.publishing import RepublishingTask, describe
from recovery.task.state import TaskState

logger = logging.getLogger(__name__)


class RetryBudgetExhausted(Refused):
    """The fleet's retry budget is exhausted."""


class DeadlineOverError(RecoveryError):
    """The task's deadline was over before the next attempt could start."""


class GivenUpError(RecoveryError):
    """The task was given up earlier; only its dead letter was missing."""


class FaultTolerantTask(RepublishingTask):
    """See the module. Everything below may be set on a subclass or in `@app.task(base=..., name=value)`."""

    abstract = True
    #: An expected outcome is logged without a traceback.
    throws = (TerminalError,)

    retry_policy: RetryPolicy = RetryPolicy()
    breaker: BreakerProtocol | None = None
    #: With a gate, `component` and `operation` are what it is asked about.
    gate: GateProtocol | None = None
    component: str = ""
    operation: str = ""
    budget: RetryBudgetProtocol | None = None
    #: Seconds to park when the budget is exhausted, and bounds of every parking.
    park_delay: float = 5.0
    min_park: ClassVar[float] = 0.05
    max_park: float = 300.0
    #: Runs cut short (a killed worker, a broker that came back) before a task counts as the killer of its workers;
    #: then it becomes a dead letter. None: never; without `dead_letters` nobody counts.
    max_redeliveries: int | None = 5

    # ---- to override

    def park(self, delay: float, exc: Exception) -> None:
        """Put the work aside for `delay` seconds because of `exc`; on return the message is acknowledged.

        Here: publish it again with a countdown. An override keeps the work elsewhere; if it cannot, it raises
        `Reject(requeue=True)`.
        """
        if self.request.is_eager:
            raise exc  # nothing to come back from: the caller waits
        self.publish_again(delay)

    def on_terminal(self, exc: TerminalError) -> None:
        """Record a terminal outcome; the task then fails with `exc`. Here: nothing more."""

    # ---- the way of a run

    @classmethod
    def on_bound(cls, app: Celery) -> None:  # noqa: ARG003 - Celery calls it so
        """Refuse, when the task is registered, what would otherwise fail at its first run."""
        if not isinstance(cls.retry_policy, RetryPolicy):
            raise ConfigurationError(f"{cls.name}: retry_policy must be a RetryPolicy, not {cls.retry_policy!r}.")
        if cls.gate is not None and not (cls.component and cls.operation):
            raise ConfigurationError(f"{cls.name}: a task with a gate needs its component and its operation.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run under the policy in a worker (or `apply`); called directly it is the plain function."""
        request = self.request
        if request.called_directly:
            return super().__call__(*args, **kwargs)
        state = TaskState.from_headers(request.headers)
        self._wait_until_due(state)
        state = state.resumed(self.clock.time())
        self._refuse_killer(state)
        self._refuse_bad_arguments(state, args, kwargs)
        self._refuse_late_start(state)
        state = self._withdraw_owed(state)
        try:
            with ExitStack() as stack:
                self._ask_permission(stack, state)
                result = self.run(*args, **kwargs)
        except TaskPredicate:
            raise  # the task's own Retry, Ignore, Reject
        except Exception as error:
            outcome = self._after_failure(error, state)
            if outcome is error:
                raise
            raise outcome from error
        if self.budget is not None:
            self.budget.record_success()
        return result

    def _ask_permission(self, stack: ExitStack, state: TaskState) -> None:
        try:
            stack.enter_context(Guard(self.gate, self.component, self.operation, self.breaker).permit())
        except Exception as error:
            delay = retry_after_seconds(error)
            if delay is None:
                raise
            raise self._parked(delay, error, state) from None

    def _after_failure(self, error: Exception, state: TaskState) -> Exception:
        """What to raise now that the attempt has failed with `error`: a Retry, or the error itself."""
        if isinstance(error, Refused):  # a breaker further in
            return self._parked(error.retry_after, error, state)
        now, attempt = self.clock.time(), self.request.retries + 1
        elapsed = state.elapsed(now)
        decision = self.retry_policy.decide(error, attempt, elapsed=elapsed, previous=state.previous)
        verdict = decision.verdict
        if verdict is Verdict.RETRY and self.budget is not None and not self.budget.try_retry():
            verdict = Verdict.BUDGET_EXHAUSTED
        self._notify(error, verdict, decision.delay, elapsed)
        if verdict is Verdict.RETRY:
            return self._retried(error, decision.delay, state)
        if verdict is Verdict.BUDGET_EXHAUSTED:
            exhausted = RetryBudgetExhausted(f"Retry budget exhausted after {describe(error)}")
            owing = replace(state, owes_retry=True, error=describe(error))
            return self._parked(max(self.park_delay, decision.delay), exhausted, owing, retries=attempt)
        if isinstance(error, TerminalError):
            self.on_terminal(error)
        else:
            self.keep_dead_letter(f"{verdict}: {describe(error)}", state, attempt)
        return error

    def _retried(self, error: Exception, delay: float, state: TaskState) -> Retry:
        state = replace(state, previous=delay, error=describe(error))
        return self.retry(
            exc=error,
            countdown=self.countdown(delay),
            max_retries=self.retry_policy.max_attempts - 1,
            headers=self.headers_for(state, delay),
            throw=False,
        )

    def _parked(self, delay: float, error: Exception, state: TaskState, retries: int | None = None) -> Retry:
        # Parked together must not mean back together: spread over a tenth of the wait.
        delay = min(max(delay, self.min_park), self.max_park) * random.uniform(1.0, 1.1)
        state = replace(state, parked_at=self.clock.time(), error=state.error or describe(error))
        self.set_next(state, delay, self.request.retries if retries is None else retries)
        logger.info("Task %s[%s] parked for %.3f s: %s", self.name, self.request.id, delay, error)
        self.park(delay, error)
        return Retry(f"parked for {delay:.3f} s", error, cast(Any, delay))

    # ---- before the attempt

    def _wait_until_due(self, state: TaskState) -> None:
        if not state.not_before:
            return
        remaining = state.not_before - self.clock.time()
        if remaining > 0 and not self.request.is_eager:
            self.set_next(state, remaining, self.request.retries)
            self.publish_again(remaining)
            raise Retry(f"not due for {remaining:.3f} s", None, cast(Any, remaining))

    def _refuse_killer(self, state: TaskState) -> None:
        # Only a redelivered message costs the round trip.
        if not (self.request.delivery_info or {}).get("redelivered") or self.max_redeliveries is None:
            return
        redeliveries = self.count_redelivery()
        if redeliveries > self.max_redeliveries:
            reason = f"redelivered {redeliveries} times: it may be killing its worker"
            self.keep_dead_letter(reason, state, self.request.retries + redeliveries)
            raise GivenUpError(reason)

    def _refuse_bad_arguments(self, state: TaskState, args: Any, kwargs: Any) -> None:
        least, most = self._plain_arguments
        if not kwargs and least <= len(args) <= most:
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            self.keep_dead_letter(f"bad arguments: {error}", state, self.request.retries)
            raise

    def _refuse_late_start(self, state: TaskState) -> None:
        if state.dead is not None:
            self.keep_dead_letter(state.dead, state, state.attempts or 0)
            raise GivenUpError(state.dead)
        if not self.retry_policy.may_start(state.elapsed(self.clock.time())):
            reason = f"{Verdict.DEADLINE} ({self.retry_policy.deadline:g} s) over; last error: {state.error}"
            self.keep_dead_letter(reason, state, self.request.retries)
            raise DeadlineOverError(reason)

    def _withdraw_owed(self, state: TaskState) -> TaskState:
        if not state.owes_retry:
            return state
        if self.budget is not None and not self.budget.try_retry():
            raise self._parked(self.park_delay, RetryBudgetExhausted("Retry budget exhausted"), state)
        return replace(state, owes_retry=False)

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.run)

    @cached_property
    def _plain_arguments(self) -> tuple[int, int]:
        """How many arguments without a name are surely right, least and most: binding them costs 12 us each time."""
        parameters = self._signature.parameters.values()
        plain = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        required = sum(one.default is one.empty for one in plain)
        alone = all(one.default is not one.empty for one in parameters if one.kind is one.KEYWORD_ONLY)
        return (required, len(plain)) if alone else (1, 0)

    def _notify(self, error: Exception, verdict: Verdict, delay: float, elapsed: float) -> None:
        hooks = get_retry_hooks()
        if hooks:
            event = RetryEvent(
                name=str(self.name),
                attempt=self.request.retries + 1,
                max_attempts=self.retry_policy.max_attempts,
                error=error,
                verdict=verdict,
                delay=delay if verdict is Verdict.RETRY else 0.0,
                elapsed=elapsed,
            )
            notify(hooks, event)
