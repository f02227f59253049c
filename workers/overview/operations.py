"""What an operator changes or asks by Flower: overrides of breakers and modes, dead letters. Each wait is bounded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from banking.blocks.store import BlockStore
from banking.execution.places import kind_of, places_in
from banking.from_settings import letter_limits, read_blocks
from banking.intake.dead_letters import TransactionDeadLetters
from banking.ledger.ledger import Ledger
from config.app import app
from config.errors import TrunklineError
from config.settings import Settings
from recovery.breaker import Override
from recovery.connections import connect
from recovery.dead_letters import DeadLetter
from recovery.degradation import DegradationManager
from tasks.modes import open_modes
from tasks.runtime import breaker_to_overrule
from workers.overview.gathering import PATIENCE
from workers.overview.replaying import letter_key, letter_name, replay_letter
from workers.overview.trace import FindMessage, Trace, Tracer, batch_entries

#: Dead letters that are shown at a time, and how much of a reason.
SHOWN = 50
_REASON = 300
#: Longest texts that a request may bring.
_MOST = {"name": 200, "reason": 500}


class BadRequest(TrunklineError):
    """The request lacks something, or has something that it may not have."""


@dataclass(frozen=True, slots=True)
class Request:
    """A change that was asked for. `name` is a breaker, a mode's scope or a dead letter; `duration` is seconds."""

    name: str
    reason: str
    mode: str
    duration: float | None
    actor: str

    @classmethod
    def parse(cls, body: bytes, actor: str) -> Request:
        """Read a request's JSON object. Raises BadRequest."""
        try:
            fields = json.loads(body)
        except ValueError as error:
            raise BadRequest(f"the request is no JSON: {error}") from None
        if not isinstance(fields, dict):
            raise BadRequest("the request is no JSON object")
        name, reason, mode = (_text(fields, key) for key in ("name", "reason", "mode"))
        if not name:
            raise BadRequest("the request names nothing")
        return cls(name, reason, mode, _seconds(fields.get("for")), actor)


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key) or ""
    if not isinstance(value, str) or len(value) > _MOST.get(key, 50) or not value.isprintable():
        raise BadRequest(f"{key} must be at most {_MOST.get(key, 50)} printable characters")
    return value.strip()


def _seconds(value: object) -> float | None:
    if value in (None, "", 0):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 30 * 86_400:
        raise BadRequest("the time must be 1 second to 30 days")
    return float(value)


class Operations:
    """Operations on the settings' ledger. All raise redis.RedisError, TrunklineError or RecoveryError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger: Ledger | None = None
        self._manager: DegradationManager | None = None
        self._changes: dict[str, Callable[[Request], str]] = {
            "breaker-open": self._open_breaker,
            "breaker-close": self._close_breaker,
            "breaker-reset": self._reset_breaker,
            "mode-set": self._set_mode,
            "mode-clear": self._clear_mode,
            "letter-replay": self._replay_letter,
            "letter-drop": self._drop_letter,
        }

    def change(self, kind: str, request: Request) -> str:
        """Do what was asked for; returns what was done, in words. Raises BadRequest for what there is not."""
        if kind not in self._changes:
            raise BadRequest(f"there is no change named {kind!r}; there are {', '.join(self._changes)}")
        return self._changes[kind](request)

    @property
    def ledger(self) -> Ledger:
        """The ledger behind a client with short waits."""
        if self._ledger is None:
            self._ledger = Ledger(connect(self._settings.ledger_url(), timeout=PATIENCE), self._settings.ledger.name)
        return self._ledger

    # ---- transactions

    def trace(self, signature: str, find_message: FindMessage) -> Trace:
        """The whole way of a transaction. Raises NoSignature."""
        return Tracer(self.ledger, self._blocks, find_message=find_message).trace(signature)

    def batch(self, result: str) -> dict[str, Any]:
        """The transactions of a batch whose task's result is `result`, in the order of the ledger, with their ends."""
        found = [
            entry
            for place in places_in(result)
            for entry in batch_entries(self.ledger, self._blocks, place.slot, place.first, place.last)
        ]
        rows = [(entry, entry.outcome.err) for entry in found]
        return {
            "counts": Counter("succeeded" if err is None else kind_of(err) for _, err in rows),
            "transactions": [
                {
                    "signature": letter_name(entry.signature),
                    "slot": entry.slot,
                    "seq": entry.seq,
                    "kind": "succeeded" if err is None else kind_of(err),
                    "err": err,
                }
                for entry, err in rows
            ],
        }

    def _blocks(self) -> BlockStore:
        return read_blocks(self._settings)

    # ---- breakers

    def _open_breaker(self, request: Request) -> str:
        breaker_to_overrule(self._settings, request.name).override(
            Override.OPEN, _required(request.reason), duration=request.duration, by=request.actor
        )
        return f"The breaker {request.name} is open{_until(request.duration, 'reset')}."

    def _close_breaker(self, request: Request) -> str:
        breaker_to_overrule(self._settings, request.name).override(
            Override.CLOSED, _required(request.reason), duration=request.duration, by=request.actor
        )
        return f"The breaker {request.name} is closed, whatever happens{_until(request.duration, 'reset')}."

    def _reset_breaker(self, request: Request) -> str:
        breaker_to_overrule(self._settings, request.name).reset(request.reason or "reset", by=request.actor)
        return f"The breaker {request.name} is closed, its counts are 0."

    # ---- modes

    @property
    def _modes(self) -> DegradationManager:
        if self._manager is None:
            self._manager = open_modes(self._settings)
        return self._manager

    def explain(self, component: str, operation: str) -> str:
        """Whether `component` may do `operation`, and what decides."""
        self._modes.fresh()
        return str(self._modes.explain(component, operation))

    def _set_mode(self, request: Request) -> str:
        component, operation = _scope(request.name)
        ruling = self._modes.set_component_mode(
            component,
            request.mode,
            operation=operation,
            actor=request.actor,
            reason=_required(request.reason),
            duration=request.duration,
        )
        told = f"{request.name} is set to {request.mode.upper()}{_until(request.duration, 'cleared')}."
        return told if ruling.name == request.mode.upper() else f"{told} In force is {ruling.name}, which is stricter."

    def _clear_mode(self, request: Request) -> str:
        component, operation = _scope(request.name)
        if not self._modes.clear(component, operation=operation, actor=request.actor, reason=request.reason):
            raise BadRequest(f"{request.name} has no override")
        return f"The override of {request.name} is gone; it is {self._modes.get_component_mode(component).name}."

    # ---- dead letters

    def letters(self) -> dict[str, Any]:
        """Some of the dead letters, with how many there are; a record too large to show is only named."""
        found = self._letters.letters
        return {"count": found.count(), "letters": [_facts(letter) for letter in found.some(SHOWN)]}

    @property
    def _letters(self) -> TransactionDeadLetters:
        return TransactionDeadLetters(self.ledger, limits=letter_limits(self._settings))

    def _replay_letter(self, request: Request) -> str:
        letter = self._letters.letters.get(letter_key(request.name))
        if letter is None:
            raise BadRequest(f"there is no dead letter {request.name} any more")
        beside: list[str] = []
        return " ".join([replay_letter(self._letters, letter, app.tasks, beside.append), *beside])

    def _drop_letter(self, request: Request) -> str:
        if not self._letters.drop(letter_key(request.name)):
            raise BadRequest(f"there is no dead letter {request.name} any more")
        return f"Dropped {request.name}."


def _facts(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter_name(letter.id),
        "kind": letter.kind,
        "reason": letter.reason[:_REASON],
        "attempts": letter.attempts,
        "at": letter.last_at,
        "bytes": len(letter.payload),
    }


def _scope(name: str) -> tuple[str, str | None]:
    component, _, operation = name.partition("/")
    return component, operation or None


def _required(reason: str) -> str:
    if not reason:
        raise BadRequest("say why: it is kept in the history")
    return reason


def _until(seconds: float | None, what: str) -> str:
    return f" until it is {what}" if seconds is None else f" for {seconds:g} s"
