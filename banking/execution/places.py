"""Where a batch's outcomes stand in the ledger, and of what kind they are: a few words in its task's result.

The slot and the sequence numbers name every transaction of the batch for good, in the journal and then in the archive,
and cost nothing while it runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PLACE = re.compile(r"slot (\d+): (\d+)-(\d+)")
#: What a result says where transactions failed on chain.
ON_CHAIN = "failed on chain"
_FAILED = re.compile(rf"(\d+) {ON_CHAIN}")


@dataclass(frozen=True, slots=True)
class Place:
    """Consecutive outcomes in one slot, from sequence number `first` to `last`."""

    slot: int
    first: int
    last: int

    def __contains__(self, seq: int) -> bool:
        return self.first <= seq <= self.last

    def __str__(self) -> str:
        return f"slot {self.slot}: {self.first}-{self.last}"


def kind_of(err: str) -> str:
    """The kind of an error (TransactionError as JSON text): `AccountNotFound`, `InstructionError.Custom`.

    There are some dozens of them, whatever programs make up.
    """
    value = json.loads(err)
    names = []
    while not isinstance(value, str):
        if isinstance(value, dict) and value:
            name, value = next(iter(value.items()))
            names.append(name)
            if name != "InstructionError":
                break
        elif isinstance(value, list) and len(value) > 1:
            value = value[1]
        else:
            break
    if isinstance(value, str):
        names.append(value)
    return ".".join(names) or "unknown"


def places_text(places: Sequence[Place], kinds: Mapping[str, int]) -> str:
    """What `places_in` and `failed_in` read again; "" for a batch without outcomes."""
    words = []
    if failed := sum(kinds.values()):
        named = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        words.append(f"{failed} {ON_CHAIN} ({named})")
    if places:
        words.append("in " + ", ".join(map(str, places)))
    return "; ".join(words)


def places_in(text: str) -> list[Place]:
    """The places that a task's result names."""
    return [Place(*map(int, found)) for found in _PLACE.findall(text)]


def failed_in(text: str) -> int:
    """How many transactions failed on chain, as a task's result says."""
    found = _FAILED.search(text)
    return int(found[1]) if found else 0
