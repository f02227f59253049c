"""Where the table of modes lives: in Redis, or for a process on its own in memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict

import redis

from recovery.connections import fail_fast
from recovery.scripts import LuaScript

ANY = "*"
ABSENT = ""

_LUA = Path(__file__).parent.parent / "lua"
_SYNC = LuaScript(_LUA / "degradation_sync.lua")
_RESTORE = LuaScript(_LUA / "degradation_restore.lua")


@dataclass(frozen=True, slots=True)
class Change:
    """Put `mode` (a name; "" removes) into `field` if that holds `expected` (a raw value, ANY or ABSENT)."""

    field: str
    mode: str
    detail: str
    lifetime_ms: int = 0
    expected: str = ANY


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a sync. `fields` is None when the caller's copy is current."""

    version: str
    server_ms: int
    applied: int
    fields: Mapping[str, str] | None


class TableDump(TypedDict):
    """A copy of a table: the number of changes it has seen, and its entries as they are stored."""

    revision: int
    fields: dict[str, str]


class Store(Protocol):
    """The operations on a table; each is atomic."""

    def sync(self, known: str, changes: Sequence[Change] = (), cause: str = "set") -> Reply:
        """Apply `changes`; answer with the table unless it still has version `known`."""

    def poll(self, known: str) -> Reply:
        """As `sync` without changes, and with the shortest wait that the store can offer."""

    def restore(self, revision: int, fields: Mapping[str, str]) -> bool:
        """Write a copy of that revision back after a loss; False when the table there is as good or better."""

    def history(self, limit: int) -> list[Mapping[str, str]]:
        """The newest `limit` audit records as written, newest first."""


class RedisStore:
    """The table in one Redis hash and its audit log in one stream, both under `namespace`.

    `poll_timeout` (seconds) bounds every reply that is awaited on the way of an ordinary call. `server_time`
    (seconds) replaces the server's clock in tests. Methods raise what redis-py raises.
    """

    def __init__(
        self,
        client: redis.Redis,
        namespace: str,
        *,
        audit_limit: int,
        poll_timeout: float,
        server_time: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._poller = fail_fast(client, poll_timeout)
        self._keys = (f"{{{namespace}}}:modes", f"{{{namespace}}}:audit")
        self._audit_limit = audit_limit
        self._server_time = server_time

    def sync(self, known: str, changes: Sequence[Change] = (), cause: str = "set") -> Reply:
        return self._sync(self._client, known, changes, cause)

    def poll(self, known: str) -> Reply:
        return self._sync(self._poller, known, (), "")

    def restore(self, revision: int, fields: Mapping[str, str]) -> bool:
        pairs = [part for pair in fields.items() for part in pair]
        arguments: list[str | int | float] = [self._now(), _new_id(), revision, self._audit_limit, *pairs]
        return bool(_RESTORE(self._poller, self._keys, arguments))

    def history(self, limit: int) -> list[Mapping[str, str]]:
        records: Any = self._client.xrevrange(self._keys[1], count=limit)
        return [{_text(name): _text(value) for name, value in fields.items()} for _, fields in records]

    def _sync(self, client: redis.Redis, known: str, changes: Sequence[Change], cause: str) -> Reply:
        arguments: list[str | int | float] = [self._now(), known, _new_id(), self._audit_limit, cause]
        for change in changes:
            arguments += (change.field, change.expected, change.mode, change.lifetime_ms, change.detail)
        version, server_ms, applied, *table = _SYNC(client, self._keys, arguments)
        return Reply(_text(version), int(server_ms), int(applied), _pairs(table[0]) if table else None)

    def _now(self) -> str:
        return "" if self._server_time is None else str(round(self._server_time() * 1000))


def _new_id() -> str:
    return secrets.token_hex(8)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _pairs(flat: Any) -> dict[str, str]:
    if isinstance(flat, Mapping):
        return {_text(name): _text(value) for name, value in flat.items()}
    return {_text(name): _text(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
