"""Celery tasks as dead letters, and back."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.exceptions import KombuError
from kombu.utils.json import dumps, loads

from recovery.dead_letters import DeadLetter
from recovery.errors import RecoveryError


class NotReplayableError(RecoveryError):
    """The dead letter is no task that can be sent again."""


def pack_call(args: Any, kwargs: Any, delivery_info: dict[str, Any] | None) -> bytes:
    """The call as JSON (kombu's, which knows dates, UUIDs and decimals); as text where JSON cannot hold it."""
    where = {name: (delivery_info or {}).get(name) for name in ("exchange", "routing_key")}
    try:
        return _encoded({"args": list(args), "kwargs": dict(kwargs), **where})
    except (TypeError, ValueError, KombuError):
        return _encoded({"shown": f"args={args!r} kwargs={kwargs!r}", **where})


def send_again(app: Celery, letter: DeadLetter, *, queue: str | None = None) -> str:
    """Publish the task of `letter` anew, with all its attempts, to where it came from or to `queue`.

    Returns the task id: the letter's own. Raises NotReplayableError. Use it with `DeadLetters.replay`.
    """
    try:
        call = loads(letter.payload)
        args, kwargs = list(call["args"]), dict(call["kwargs"])
    except (ValueError, TypeError, KeyError) as error:
        raise NotReplayableError(f"Dead letter {letter.id!r} ({letter.kind}) holds no task call: {error}") from None
    task_id = letter.id.decode()
    where = queue or _queue_of(call)
    route: dict[str, Any] = {"queue": where} if where else {}
    app.send_task(letter.kind, args, kwargs, task_id=task_id, **route)
    return task_id


def _queue_of(call: dict[str, Any]) -> str | None:
    # Through the default exchange the routing key is the queue's name; otherwise the app's routes decide anew.
    return None if call.get("exchange") else call.get("routing_key")


def _encoded(value: dict[str, Any]) -> bytes:
    return str(dumps(value)).encode()
