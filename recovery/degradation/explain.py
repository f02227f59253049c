"""Why an operation is allowed or refused, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recovery.degradation.entries import Entry, Scope
from recovery.degradation.modes import ADMINISTRATIVE, DegradationMode, OperationType, is_allowed
from recovery.degradation.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Explanation:
    """`deciding` is the strictest entry that rules the operation, None when no entry restricts it.

    `others` are the other entries that rule it. `away_for` is seconds without Redis, None while it answers.
    """

    component: str
    operation: OperationType
    mode: DegradationMode
    allowed: bool
    deciding: Entry | None
    others: Sequence[Entry]
    expires_in: float | None
    away_for: float | None

    def __str__(self) -> str:
        verdict = "allowed" if self.allowed else "refused"
        lines = [f"{self.operation} is {verdict}: {self.component} is {self.mode.name}{self._because()}."]
        if self.operation in ADMINISTRATIVE:
            lines.append("Administrative operations are allowed in every mode.")
        lines += [f"Also in force: {describe(entry)}." for entry in self.others]
        if self.away_for is not None:
            lines.append(f"Redis has been away for {self.away_for:.1f} s; these are the last known modes.")
        return "\n".join(lines)

    def _because(self) -> str:
        if self.deciding is None:
            return "; nothing restricts it"
        until = "" if self.expires_in is None else f", for another {self.expires_in:.0f} s"
        return f" because of {describe(self.deciding)}{until}"


def describe(entry: Entry) -> str:
    """An entry described in a sentence: its origin, scope, mode and reason."""
    notes = entry.notes
    origin = f"the override by {notes.get('actor') or 'somebody'}" if entry.manual else f"rule {entry.rule}"
    reason = f" ({notes['reason']})" if notes.get("reason") else ""
    return f"{origin} that puts {entry.scope} in {entry.mode.name}{reason}"


def explain(
    snapshot: Snapshot, component: str, operation: OperationType, now_ms: float, away_for: float | None
) -> Explanation:
    """What `snapshot` says about `operation` of `component` at the server time `now_ms`."""
    ruling = snapshot.matching(Scope.of(component, operation), now_ms)
    restricting = [entry for entry in ruling if entry.mode is not DegradationMode.NORMAL]
    deciding = restricting[0] if restricting else None
    mode = deciding.mode if deciding else DegradationMode.NORMAL
    expires_in = (deciding.expires_ms - now_ms) / 1000 if deciding and deciding.expires_ms else None
    return Explanation(
        component, operation, mode, is_allowed(mode, operation), deciding, restricting[1:], expires_in, away_for
    )
