"""Changes of breakers and modes, as Celery events: Flower and any other monitor sees them beside the tasks."""

from __future__ import annotations

import logging
from typing import Any

from kombu.exceptions import OperationalError

from config.app import app
from recovery.breaker.events import BreakerEvent
from recovery.degradation import DegradationMode
from recovery.degradation.entries import Scope

logger = logging.getLogger(__name__)


def send_breaker_event(event: BreakerEvent) -> None:
    """Send `trunkline-breaker`."""
    _send(
        "trunkline-breaker",
        breaker=event.name,
        before=str(event.before),
        after=str(event.after),
        override=str(event.override) if event.override else None,
        reason=event.reason,
        shared=event.shared,
    )


def send_mode_event(scope: Scope, old: DegradationMode, new: DegradationMode) -> None:
    """Send `trunkline-mode`."""
    logger.warning("Mode of %s: %s -> %s", scope, old.name, new.name)
    _send("trunkline-mode", scope=str(scope), before=old.name, after=new.name)


def _send(kind: str, **fields: Any) -> None:
    try:
        with app.events.default_dispatcher() as dispatcher:
            # No retry: an event is optional, and a change of state must not wait for the broker.
            dispatcher.send(kind, retry=False, **fields)
    except (OperationalError, OSError) as error:
        logger.warning("Event %s not sent: %s", kind, error)
