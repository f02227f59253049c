"""The Celery app that you would write: one task with a policy, a breaker, a retry budget and dead letters."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request

import redis
from celery import Celery

from recovery import (
    CircuitBreaker,
    CircuitBreakerConfig,
    DeadLetters,
    FaultTolerantTask,
    Jitter,
    RetryBudget,
    RetryPolicy,
    TerminalError,
    TransientError,
)

REDIS_URL = os.environ.get("PAYMENTS_REDIS_URL", "redis://127.0.0.1:6379/0")
SERVICE_URL = os.environ.get("PAYMENTS_SERVICE_URL", "http://127.0.0.1:8000")
BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)

app = Celery("payments", broker=BROKER_URL, backend=BROKER_URL)
app.conf.broker_transport_options = {"visibility_timeout": 30}
app.conf.worker_prefetch_multiplier = 1

_redis = redis.Redis.from_url(REDIS_URL, socket_timeout=2.0, socket_connect_timeout=1.0)
dead_letters = DeadLetters(_redis, "payments", limit=1000)


class CardDeclined(TerminalError):
    """The bank says no; asking again would not help."""


class Payment(FaultTolerantTask):
    """What every task of this project has in common."""

    abstract = True
    retry_policy = RetryPolicy(
        max_attempts=5,
        initial_delay=0.05,
        max_delay=2.0,
        jitter=Jitter.DECORRELATED,
        deadline=30.0,
    )
    # Open for all workers after five failures in a row; what comes meanwhile is parked and uses up no attempt.
    breaker = CircuitBreaker(
        "card-service",
        CircuitBreakerConfig(failure_threshold=5, timeout=0.5, success_threshold=1, half_open_probes=2),
        redis=_redis,
        namespace="payments",
    )
    # The floor is high for 40 charges; a busy shop would leave it at its default.
    budget = RetryBudget(_redis, name="card-service", prefix="payments", floor_per_second=50.0)
    dead_letters = dead_letters


@app.task(name="payments.charge_card", base=Payment, bind=True)
def charge_card(self: Payment, card: str, cents: int) -> int:
    """Charge `cents` to `card`; the task's id makes a repeated request harmless. Returns what was charged."""
    request = urllib.request.Request(
        f"{SERVICE_URL}/charges",
        data=json.dumps({"card": card, "cents": cents}).encode(),
        headers={"Idempotency-Key": str(self.request.id)},
    )
    try:
        with urllib.request.urlopen(request, timeout=2.0) as answer:
            return int(json.load(answer)["charged"])
    except urllib.error.HTTPError as error:
        raise _meaning(error) from None


def _meaning(error: urllib.error.HTTPError) -> Exception:
    """The answer as one of the two kinds of error; a dropped connection needs no translation."""
    if error.code == 402:
        return CardDeclined("The card was declined.")
    asked = error.headers.get("Retry-After")
    return TransientError(f"The card service answered {error.code}.", retry_after=float(asked) if asked else None)
