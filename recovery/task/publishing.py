"""A Celery task whose work is never lost between two messages. The base of `FaultTolerantTask`."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import redis
from celery import Task
from celery.exceptions import Reject, Retry

from recovery.clock import Clock, SystemClock
from recovery.dead_letters import DeadLetter, DeadLetters
from recovery.errors import RecoveryError
from recovery.retry.classification import is_retryable
from recovery.task.dead_letters import pack_call
from recovery.task.state import TaskState

logger = logging.getLogger(__name__)

#: Seconds until a dead letter that could not be written is tried again.
LETTER_RETRY_DELAY = 15.0
#: Most seconds a worker waits before it hands back a message whose successor could not be published.
REQUEUE_PAUSE = 1.0
#: Part of the broker's visibility timeout that a countdown may fill: beyond it the message would run twice.
COUNTDOWN_SHARE = 0.5


class RepublishingTask(Task[..., Any]):
    """Publishes a task again without losing it, and keeps what is given up as a dead letter."""

    abstract = True
    #: The message is acknowledged after the work, so that it can still be handed back.
    acks_late = True
    reject_on_worker_lost = True

    dead_letters: DeadLetters | None = None
    clock: Clock = SystemClock()

    def retry(self, *args: Any, **kwargs: Any) -> Retry:
        """Celery's `retry`, except that a message which cannot be published is never the end of the work."""
        try:
            return super().retry(*args, **kwargs)
        except Reject as rejected:  # Celery raises it, without requeue, when publishing failed
            reason = getattr(rejected, "reason", rejected)
        raise self._not_published(reason, kwargs.get("countdown") or 0.0)

    def set_next(self, state: TaskState, delay: float, retries: int) -> None:
        """Say what the message of the next run, in `delay` seconds, is to carry; `publish_again` sends it."""
        self.request.update(next_headers=self.headers_for(state, delay), next_retries=retries)

    def headers_for(self, state: TaskState, delay: float) -> dict[str, Any]:
        """This message's headers with `state`, for a run in `delay` seconds."""
        too_long = delay > self.longest_countdown
        due = replace(state, not_before=self.clock.time() + delay if too_long else None)
        return due.to_headers(self.request.headers)

    @cached_property
    def longest_countdown(self) -> float:
        """The longest wait, in seconds, that a message of this broker can carry; longer ones take several."""
        options = self.app.conf.broker_transport_options or {}
        return COUNTDOWN_SHARE * float(options.get("visibility_timeout") or 3600.0)

    def countdown(self, delay: float) -> float:
        """The countdown in seconds by which a message waits `delay`, or as nearly as its broker can.

        RabbitMQ itself holds what waits for a quorum queue, in whole seconds: Celery cuts the fraction off, and refuses
        what is 0 then.
        """
        wait = min(delay, self.longest_countdown)
        return float(math.ceil(wait)) if self._held_by_rabbitmq else wait

    @cached_property
    def _held_by_rabbitmq(self) -> bool:
        queues = self.app.amqp.queues.values()
        return any((queue.queue_arguments or {}).get("x-queue-type") == "quorum" for queue in queues)

    def publish_again(self, delay: float) -> None:
        """Publish the task once more, with what `set_next` said. Raises Reject(requeue=True) when that fails."""
        signature = self.signature_from_request(
            self.request,
            countdown=self.countdown(delay),
            retries=self.request.get("next_retries"),
            headers=self.request.get("next_headers"),
        )
        try:
            signature.apply_async()
        except Exception as error:
            logger.warning("Task %s[%s] could not be published again", self.name, self.request.id, exc_info=True)
            raise self._not_published(error, delay) from error

    def _not_published(self, error: Any, delay: float) -> Exception:
        """What to raise so that the message itself goes back to the broker, which failed with `error`.

        It is requeued, or stays unacknowledged until the broker delivers it again when that fails, too.
        """
        shown = f"{self.name}[{self.request.id}]"
        if not self.acks_late:
            # The message is gone already; only the letter is left.
            self._write_letter(f"could not be published again: {error}")
            return Reject(str(error), requeue=False)
        hopeless = isinstance(error, Exception) and not is_retryable(error)
        # A message that can never be published (no such queue) would come back for ever.
        if hopeless and self.dead_letters is not None and self._write_letter(f"cannot be published: {error}"):
            return cast(Exception, error)
        logger.error("Task %s: publishing it again failed (%s); its message goes back to the broker", shown, error)
        self.clock.sleep(min(delay, REQUEUE_PAUSE))
        return Reject(str(error), requeue=True)

    # ---- giving up

    def keep_dead_letter(self, reason: str, state: TaskState, attempts: int) -> None:
        """Keep the task as a dead letter. Raises Retry, to come back for it, when that cannot be written now."""
        logger.error("Task %s[%s] given up: %s", self.name, self.request.id, reason)
        state = replace(state, dead=reason, attempts=attempts)
        if self.dead_letters is None or self._write_letter(reason, state) or self.request.is_eager:
            return
        self.set_next(state, LETTER_RETRY_DELAY, self.request.retries)
        self.publish_again(LETTER_RETRY_DELAY)
        raise Retry(f"dead letter not written yet: {reason}", None, cast(Any, LETTER_RETRY_DELAY))

    def count_redelivery(self) -> int:
        """How often this task was redelivered, this time included; 0 when nobody can count."""
        if self.dead_letters is None:
            return 0
        try:
            return self.dead_letters.count_redelivery(str(self.request.id).encode())
        except redis.RedisError as error:
            logger.warning("Task %s[%s]: redelivery not counted: %s", self.name, self.request.id, error)
            return 0

    def _write_letter(self, reason: str, state: TaskState | None = None) -> bool:
        request = self.request
        state = state or TaskState.from_headers(request.headers)
        if self.dead_letters is None:
            logger.critical("Task %s[%s] is lost, there are no dead letters: %s", self.name, request.id, reason)
            return False
        now = self.clock.time()
        letter = DeadLetter(
            id=str(request.id).encode(),
            kind=str(self.name),
            payload=pack_call(request.args or (), request.kwargs or {}, request.delivery_info),  # type: ignore[arg-type]
            reason=reason,
            attempts=request.retries + 1 if state.attempts is None else state.attempts,
            first_at=now if state.first_at is None else state.first_at,
            last_at=now,
        )
        try:
            self.dead_letters.add(letter)
        except (redis.RedisError, RecoveryError):
            logger.exception("Task %s[%s]: its dead letter could not be written", self.name, request.id)
            return False
        return True


def describe(error: Exception) -> str:
    """The error as one line, bounded."""
    return f"{type(error).__name__}: {error}"[:500]
