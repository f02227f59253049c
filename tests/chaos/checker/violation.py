"""What the checker accuses the pipeline of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """A broken promise: which `rule`, about what (`sig`, or ""), and when (monotonic seconds, 0: at the end)."""

    rule: str
    detail: str
    sig: str = ""
    at: float = 0.0

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}" + (f" [{self.sig}]" if self.sig else "")
