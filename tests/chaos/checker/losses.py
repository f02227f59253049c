"""What the documents let be lost, and when: `docs/durability.md`, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.history import Row

#: What is processed is final within this time, the longest outage of a cycle included (seconds).
_LONGEST_UNFINAL = 40.0


@dataclass(frozen=True)
class Loss:
    """What was told from `since` (None: ever) to `lost_at` may be gone, if it was not final; by `end` all is healed."""

    since: float | None
    lost_at: float
    end: float


@dataclass(frozen=True)
class Losses:
    """All losses of a storm."""

    losses: Sequence[Loss]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Losses:
        """From the faults in a history. One whose injection failed half-way counts as done when it was healed."""
        found = []
        for row in rows:
            if row["kind"] == "fault" and row["loses"] != "nothing":
                lost_at = row["lost_at"] if row["lost_at"] is not None else row["healed"]
                found.append(Loss(row["since"], lost_at, row["t1"]))
        return cls(found)

    def may_lose(self, t0: float, t1: float) -> bool:
        """Whether what was accepted in a call from `t0` to `t1` may be gone."""
        return any((loss.since is None or t1 >= loss.since) and t0 <= loss.lost_at for loss in self.losses)

    def may_undo(self, t0: float, t1: float) -> bool:
        """Whether what was processed, and not final, at that time may have been undone.

        Until the ledger is served again from the archive, what is answered may come from the state that is given up.
        """
        return any(
            t1 >= (loss.lost_at - _LONGEST_UNFINAL if loss.since is None else loss.since) and t0 <= loss.end
            for loss in self.losses
        )
