"""I3 and I10: every answer that a client got was true when it was given, and what was promised has come."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.checker.ledger import Remains
from tests.chaos.checker.losses import Losses
from tests.chaos.checker.violation import Violation
from tests.chaos.checker.world import World
from tests.chaos.history import Row

#: Errors of sendTransaction that say that it was not taken: the preflight failed, a signature is wrong.
_NOT_TAKEN = frozenset({-32002, -32003, -32602})
#: Faults in which worker processes die, which may make a dead letter of whatever they ran three times.
_DEADLY = ("worker-", "maintenance-", "crash-", "rolling", "scale")
_LEAST_DEATHS = 3
#: A transaction that nothing is wrong with is not under way for longer than this, storm or not (seconds).
_DEATHS_WITHIN = 40.0


@dataclass
class Answers:
    """Judges a history."""

    rows: Sequence[Row]
    world: World
    remains: Remains
    losses: Losses
    judged: int = 0
    #: Signature to the times at which somebody began to send it, and whether anything but a refusal came of it.
    _tries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _taken: set[str] = field(default_factory=set)

    def judge(self) -> list[Violation]:
        """Every answer that was not true."""
        self._collect()
        return [violation for row in self.rows for violation in self._judge_row(row)] + list(self._dead_letters())

    # ---- who sent what

    def _collect(self) -> None:
        for row in self.rows:
            match row["kind"]:
                case "trying":
                    for signature in row["sigs"]:
                        self._tries[signature].append(row["t1"])
                case "submit":
                    self._taken |= {one["sig"] for one in row["txs"] if one["verdict"] != "rejected"}
                    self._taken |= {one["sig"] for one in row["unanswered"]}
                case "sent":
                    self._taken.add(row["sig"])
                case "rpc" if row["method"] == "sendTransaction" and row.get("code") not in _NOT_TAKEN:
                    self._taken.add(row["sig"])

    def _judge_row(self, row: Row) -> Iterator[Violation]:
        match row["kind"]:
            case "submit":
                for one in row["txs"]:
                    self.judged += 1
                    yield from self._receipt(row, one)
            case "rpc":
                self.judged += 1
                yield from self._rpc(row)
            case "probes":
                detail = f"breaker {row['breaker']} let {row['count']} probes through at once"
                yield Violation("breaker", detail, at=row["t1"])
            case "stuck":
                yield Violation("bound", f"nothing was processed for long after cycle {row['cycle']}", at=row["t1"])
            case "unsettled":
                yield Violation("I3 bound", f"work was left when all was healed: {row['left']}", at=row["t1"])

    # ---- submit()

    def _receipt(self, row: Row, one: dict[str, Any]) -> Iterator[Violation]:
        signature = one["sig"]
        if one["refused"]:
            yield from self._never_executes(signature, "a refusal was told", since=row["t0"], at=row["t1"])
        elif one["verdict"] == "rejected" and signature not in self._taken:
            yield from self._never_executes(signature, "intake rejected it", since=None, at=row["t1"])
        elif one["verdict"] == "accepted":
            yield from self._has_an_end(row, signature, one["what"])
        if one["level"] in ("processed", "finalized"):
            err = json.loads(one["err"]) if one["err"] is not None else None
            yield from self._outcome(row, signature, one["level"], one["slot"], err, one["archived"])

    def _never_executes(self, signature: str, why: str, *, since: float | None, at: float) -> Iterator[Violation]:
        outcome = self.world.final(signature)
        again = since is not None and any(time > since for time in self._tries[signature])
        if outcome is not None and not outcome.free and not again:
            yield Violation("I10 refusal", f"{why}, and it was executed in slot {outcome.slot}", signature, at)

    def _has_an_end(self, row: Row, signature: str, what: str) -> Iterator[Violation]:
        ended = self.world.final(signature) is not None or signature in self.remains.dead | self.remains.refused
        # What has no payer is refused; that is remembered for 150 slots only.
        refusable = what in ("poor", "late")
        if not ended and not refusable and not self.losses.may_lose(row["t0"], row["t1"]):
            yield Violation("I3 lost", f"a {what} was accepted, and has no end", signature, row["t1"])
        if signature in self.remains.waiting:
            yield Violation("I3 bound", f"a {what} was accepted, and still waits", signature, row["t1"])

    def _outcome(
        self, row: Row, signature: str, level: str, slot: int, err: Any, archived: bool | None
    ) -> Iterator[Violation]:
        found = any((one.slot, one.err) == (slot, err) for one in self.world.outcomes.get(signature, []))
        final = level != "processed"
        if not found and (final or not self.losses.may_undo(row["t0"], row["t1"])):
            truth = self.world.outcomes.get(signature, [])
            rule = "I4 final" if final else "I10 processed"
            detail = f"{level} was told in slot {slot} with {err}; the archive has {truth}"
            yield Violation(rule, detail, signature, row["t1"])
        if final and archived is False and not self._archive_touched(row):
            yield Violation("I10 too early", f"finalized was told before block {slot} was there", signature, row["t1"])

    def _archive_touched(self, row: Row) -> bool:
        """Whether the nemesis had taken a block away just then."""
        return any(
            one["kind"] == "fault"
            and one["name"].startswith("block-")
            and one["t0"] <= row["t1"]
            and row["t0"] <= one["healed"]
            for one in self.rows
        )

    # ---- the RPC

    def _rpc(self, row: Row) -> Iterator[Violation]:
        match row["method"]:
            case "sendTransaction" if not row["error"]:
                yield from self._has_an_end(row, row["sig"], row["what"])
            case "sendTransaction" if row["code"] in _NOT_TAKEN and row["sig"] not in self._taken:
                yield from self._never_executes(row["sig"], row["error"], since=None, at=row["t1"])
            case "getSignatureStatuses" if not row["error"]:
                for one in row["statuses"]:
                    if one is not None:
                        yield from self._outcome(
                            row, one["sig"], one["level"], one["slot"], one["err"], one["archived"]
                        )
            case "getSlot" if not row["error"] and row["commitment"] != "processed":
                if row["slot"] > self.world.head.slot:
                    detail = f"slot {row['slot']} was told to be final, the archive ends at {self.world.head.slot}"
                    yield Violation("I4 final", detail, at=row["t1"])
                elif row["archived"] is False and not self._archive_touched(row):
                    yield Violation("I10 too early", f"slot {row['slot']} was told too early", at=row["t1"])
            case "getBalance" | "getMultipleAccounts" if not row["error"]:
                yield from self._read(row)

    def _read(self, row: Row) -> Iterator[Violation]:
        final = row["commitment"] != "processed"
        if not final and self.losses.may_undo(row["t0"], row["t1"]):
            return
        for value in row["values"]:
            states = self.world.states_in(value["key"], row["slot"])
            if not any(
                state.lamports == value["lamports"] and value.get("digest", state.digest) == state.digest
                for state in states
            ):
                detail = (
                    f"{value['key']} had {value['lamports']} lamports at slot {row['slot']} ({row['commitment']}) "
                    f"by {row['method']}{', a stale answer' if row.get('stale') else ''}; the oracle has "
                    f"{[state.lamports for state in states]}"
                )
                yield Violation("I10 balance", detail, at=row["t1"])

    # ---- dead letters

    def _dead_letters(self) -> Iterator[Violation]:
        times = [row["t0"] for row in self.rows if row["kind"] == "fault" and row["name"].startswith(_DEADLY)]
        for signature in self.remains.dead:
            first = min(self._tries.get(signature, [0.0]))
            deaths = sum(first - _DEATHS_WITHIN <= time <= first + _DEATHS_WITHIN for time in times)
            if (outcome := self.world.final(signature)) is not None:
                detail = f"it is a dead letter and has an outcome in slot {outcome.slot}"
                yield Violation("I3 two ends", detail, signature)
            elif deaths < _LEAST_DEATHS:
                yield Violation("I3 dead letter", f"it is a dead letter, and {deaths} workers died near it", signature)
