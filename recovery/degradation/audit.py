"""The audit log, read back: who changed what, from what to what, when and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from recovery.degradation.entries import AUTOMATIC


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `at` and `expires` are server seconds since the epoch; `expires` is None for never.

    `cause` is "set", "clear", "expired", "restored" or "rule"; `actor` is an operator, or a rule if `automatic`.
    """

    at: float
    cause: str
    component: str
    operation: str
    was: str
    mode: str
    automatic: bool
    actor: str
    reason: str
    expires: float | None


def decode_audit(record: Mapping[str, str]) -> AuditEntry:
    """The entry written as `record`. Raises KeyError or ValueError for something else."""
    source, component, operation, *rule = record["field"].split("/")
    detail = json.loads(record["detail"])
    expires = int(record["expires"])
    return AuditEntry(
        at=int(record["at"]) / 1000,
        cause=record["cause"],
        component=component,
        operation=operation,
        was=record["from"],
        mode=record["to"],
        automatic=source == AUTOMATIC and record["cause"] != "clear",
        actor=str(detail.get("actor", "") or "".join(rule)),
        reason=str(detail.get("reason", "")),
        expires=expires / 1000 if expires else None,
    )
