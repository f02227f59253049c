"""Where a transaction's compute units went: by instruction and by the calls inside it, as the VM's log tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

# Programs cannot forge these: what they print stands behind "Program log: " or "Program data: ".
_INVOKE = re.compile(r"Program (\w{32,44}) invoke \[(\d+)\]")
_CONSUMED = re.compile(r"Program (\w{32,44}) consumed (\d+) of \d+ compute units")
_END = re.compile(r"Program (\w{32,44}) (?:success|failed: .*)")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One program that ran. `depth` is 1 for an instruction of the transaction, more for calls inside it.

    `units` are what it used, calls inside included; None where the VM does not tell (builtin programs, or a log that
    was cut off).
    """

    program: str
    depth: int
    units: int | None


def invocations(logs: Sequence[str]) -> list[Invocation]:
    """The programs that ran, in the order that they began."""
    found: list[Invocation] = []
    running: list[int] = []
    for line in logs:
        if begun := _INVOKE.fullmatch(line):
            running.append(len(found))
            found.append(Invocation(begun[1], int(begun[2]), None))
        elif running and (consumed := _CONSUMED.fullmatch(line)):
            found[running[-1]] = replace(found[running[-1]], units=int(consumed[2]))
        elif running and _END.fullmatch(line):
            running.pop()
    return found


@dataclass(frozen=True, slots=True)
class InstructionProfile:
    """One instruction of a transaction: its lines of the log, and its units (None where the VM does not tell)."""

    units: int | None
    logs: list[str]


def by_instruction(logs: Sequence[str]) -> list[InstructionProfile]:
    """The log, cut where the next instruction of the transaction begins."""
    parts: list[list[str]] = []
    for line in logs:
        begun = _INVOKE.fullmatch(line)
        if begun is not None and begun[2] == "1":
            parts.append([])
        if parts:
            parts[-1].append(line)
    return [InstructionProfile(invocations(part)[0].units, part) for part in parts]
