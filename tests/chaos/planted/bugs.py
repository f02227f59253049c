"""Twelve bugs, each a substitution in a copy of the tree, the faults that bring it to light, and what must be found.

A pattern that the source no longer holds is an error: then the bug must be planted anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


class NotPlanted(Exception):
    """The source is no longer what the pattern expects."""


@dataclass(frozen=True)
class Edit:
    """Every match of `pattern` in the files `where` (a glob) becomes `replacement`; at least `least` of them."""

    where: str
    pattern: str
    replacement: str
    least: int = 1

    def apply(self, root: Path) -> None:
        """Change the files below `root`. Raises NotPlanted."""
        count = 0
        for path in sorted(root.glob(self.where)):
            text, here = re.subn(self.pattern, self.replacement, path.read_text(), flags=re.MULTILINE)
            if here:
                path.write_text(text)
                count += here
        if count < self.least:
            raise NotPlanted(f"{self.where}: {self.pattern!r} matches {count} times, expected {self.least}")


@dataclass(frozen=True)
class Bug:
    """One bug. Under the faults `only`, one of the rules that `found` matches must be broken within `minutes`."""

    name: str
    edits: tuple[Edit, ...]
    found: str
    only: str
    minutes: float = 0.8


_LUA = "banking/ledger/lua"
_NO_DUPLICATES = (
    # It is asked for twice: before the execution, and in the commit.
    Edit(f"{_LUA}/load.lua", r"resolved\[i\] = value == '' and '0' or '1' end$", "resolved[i] = '0' end"),
    Edit(f"{_LUA}/commit.lua", r"^if not is_whole then(\n  status = redis\.call)", r"if false then\1"),
)
_CREDIT = (
    "writes = {k: r if not r or lamports_of(r) <= lamports_of(view.get(k, b'')) else "
    "(2 * lamports_of(r) - lamports_of(view.get(k, b''))).to_bytes(8, 'little') + r[8:] for k, r in writes.items()}"
)

BUGS: dict[str, Bug] = {
    bug.name: bug
    for bug in (
        Bug("dedupe-skipped", _NO_DUPLICATES, "I2 twice|I9", "messages-held-and-tripled,messages-doubled"),
        Bug(
            "epoch-check-skipped",
            (Edit(f"{_LUA}/*.lua", r"^if epoch ~= ARGV\[1\] then", "if false then", 15),),
            "I",
            "redis-flushall,redis-replaced-by-empty",
        ),
        Bug(
            "finalized-before-the-block-is-written",
            (
                Edit(
                    "banking/blocks/sealer.py",
                    r"^(\s+)self\._blocks\.put\(header, body\)$",
                    r"\1self._ledger.run(FINALIZE, [epoch, slot, header.hash(), SLOT_HASHES], epoch=epoch)"
                    r"\n\1__import__('time').sleep(0.2)\n\1self._blocks.put(header, body)",
                ),
            ),
            "I10 too early|I4|I6",
            "archive-full,archive-slow,worker-kill",
        ),
        Bug(
            "parent-hash-dropped",
            (Edit("banking/blocks/sealer.py", r"parent=parent,", "parent=bytes(32) if int(slot) > 5 else parent,"),),
            "I6 chain",
            "worker-kill,beat-kill",
        ),
        Bug(
            "credit-doubled",
            (
                Edit(
                    "banking/execution/executor.py",
                    r"^(\s+)(return meta, _result\(meta, error, burned\), writes)$",
                    rf"\1{_CREDIT}\n\1\2",
                ),
            ),
            "I9|I1",
            "worker-kill,beat-kill",
        ),
        Bug(
            "versions-that-repeat",
            (
                Edit(
                    f"{_LUA}/commit.lua",
                    r"numbers\[i\] \.\. ':' \.\. sub\(signatures?(\[i\])?, 1, 16\) \.\. ARGV\[4\]",
                    "slot_prefix .. '0'",
                ),
                # Plain accounts are their own version: their content would have to repeat, so nobody looks at it.
                Edit(
                    f"{_LUA}/shared/compare_reads.lua",
                    r"if expected\[by\]\[n\] ~= ",
                    "if by == 2 and expected[by][n] ~= ",
                ),
            ),
            "I9|I1|I5",
            "worker-pause,link-slow",
        ),
        Bug(
            "stale-program",
            (
                Edit(
                    "banking/execution/programs.py",
                    r"^(\s+)return source\[1\] is None or view\.get\(source\[1\], b\"\"\) == source\[2\]$",
                    r"\1return True",
                ),
                Edit("banking/execution/programs.py", r"self\._sources\.pop\(program, None\)", "pass"),
            ),
            "I9",
            "worker-kill,beat-kill",
        ),
        Bug(
            "intake-record-lost",
            (
                Edit(
                    f"{_LUA}/accept.lua",
                    r"^(\s+)redis\.call\('HSET', KEYS\[4\], unpack\(records\)\)$",
                    r"\1local _ = 0",
                ),
            ),
            # Without its record a transaction may also be accepted, and applied, once more.
            "I3 lost|I9 execution",
            "queues-deleted,worker-gone,unacked-deleted",
        ),
        Bug(
            "checkpoint-that-skips-an-account",
            (
                Edit(
                    "banking/restore/checkpointing.py",
                    r"for key in sorted\(fold\.accounts\)\)",
                    "for key in sorted(fold.accounts) if len(fold.accounts[key][1]) != 165 + 49)",
                ),
            ),
            "I5 checkpoint",
            "worker-kill,worker-pause",
        ),
        Bug(
            "finalized-told-too-early",
            (Edit("rpc/methods/history.py", r"final = slot <= finalized$", "final = slot <= finalized + 1"),),
            "I10 too early|I4",
            "archive-slow,maintenance-pause",
        ),
        Bug(
            "breaker-that-lets-all-probes-through",
            (Edit("recovery/lua/breaker_sync.lua", r" and #probes < arg\(8\) then", " then"),),
            "breaker",
            "redis-pause,link-slow,half-open-all,redis-out-of-memory",
            3.0,
        ),
        Bug(
            "dead-letter-of-the-living",
            (Edit("banking/execution/processor.py", r"if attempt > self\._max_attempts:", "if attempt > 0:"),),
            "I3 dead letter|I3 two ends",
            "messages-lost,unacked-deleted",
        ),
    )
}
