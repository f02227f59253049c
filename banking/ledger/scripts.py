"""The Lua scripts of the ledger: the keys that each is given, in order, and the type of its reply.

Keys are named as the attributes of `LedgerKeys` and `EpochKeys` are; "loaded." before a name means the keys into which
a restore loads. The header of each Lua file says the same, and what its arguments and its reply mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

from banking.ledger.keys import EpochKeys, LedgerKeys
from recovery.scripts import load_scripts

Reply = TypeVar("Reply")

#: Name of a script to its Lua.
LUA = load_scripts(Path(__file__).parent / "lua")

_LOADED = "loaded."


@dataclass(frozen=True)
class LedgerScript(Generic[Reply]):
    """A script, the names of its KEYS, and (as a type only) what Redis answers."""

    name: str
    keys: tuple[str, ...]

    @property
    def needs_epoch(self) -> bool:
        """Whether some of its keys belong to an epoch."""
        return any(not _is_lasting(name) for name in self.keys)

    def key_names(self, lasting: LedgerKeys, epoch: EpochKeys | None, loaded: EpochKeys | None = None) -> list[str]:
        """Its keys in a ledger: those that last, those of `epoch`, and those that a restore `loaded`."""
        return list(_key_names(self.keys, lasting.name, epoch and epoch.prefix, loaded and loaded.prefix))


def _is_lasting(name: str) -> bool:
    return hasattr(LedgerKeys, name)


# Of a single transaction's CPU, making the names anew for each script was a tenth.
@lru_cache(maxsize=256)
def _key_names(names: tuple[str, ...], ledger: str, epoch: str | None, loaded: str | None) -> tuple[str, ...]:
    lasting = LedgerKeys(ledger)
    found: list[str] = []
    for name in names:
        plain = name.removeprefix(_LOADED)
        if plain == name and _is_lasting(name):
            found.append(getattr(lasting, name))
            continue
        prefix = epoch if plain == name else loaded
        if prefix is None:
            raise ValueError(f"key {name!r} belongs to an epoch, and none was given")
        found.append(getattr(EpochKeys(prefix), plain))
    return tuple(found)


def _keys(names: str) -> tuple[str, ...]:
    return tuple(names.split())


# ---- intake and dead letters

ACCEPT = LedgerScript[tuple[int, bytes, bytes]](
    "accept", _keys("meta state status intake queued dead dead_bytes refusals refused messages batches")
)
DISSOLVE = LedgerScript[tuple[int, list[bytes]]]("dissolve", _keys("meta intake queued attempts batches"))
PARK = LedgerScript[int]("park", _keys("meta state status intake queued parked dead refusals batches"))
#: Time (ms), raw transactions released, lost and suspects, batches lost (id, how many), batches broken (id, again).
SWEEP = LedgerScript[tuple[int, list[bytes], list[bytes], list[bytes], list[bytes], list[bytes]]](
    "sweep", _keys("meta intake queued parked attempts state batches")
)
EXAMINE = LedgerScript[list[int]](
    "examine", _keys("meta state status intake queued parked attempts dead refusals batches")
)
ATTEMPT = LedgerScript[int]("attempt", _keys("meta intake attempts"))
GIVE_UP = LedgerScript[int](
    "give_up", _keys("meta state status intake queued parked attempts dead dead_bytes messages batches")
)
REPLAY = LedgerScript[tuple[int, int]]("replay", _keys("meta status intake queued attempts dead dead_bytes"))
DROP = LedgerScript[int]("drop", _keys("meta state dead dead_bytes"))

# ---- execution

#: Slot, time (ms), resolved, valid, versions, records, accepted, blockhashes, how many accounts were looked at, turn.
LOAD = LedgerScript[tuple[bytes, bytes, bytes, bytes, list[bytes], list[bytes], list[bytes], list[bytes], int, bytes]](
    "load", _keys("meta state accounts versions status blockhashes dead intake refusals turns")
)
#: Slot, time (ms), batch, valid, versions, records, blockhashes, how many accounts were looked at, turn.
LOAD_BATCH = LedgerScript[tuple[bytes, bytes, bytes, bytes, list[bytes], list[bytes], list[bytes], int, bytes]](
    "load_batch", _keys("meta state accounts versions blockhashes batches turns")
)
COMMIT = LedgerScript[tuple[int, int, bytes]](
    "commit",
    _keys(
        "meta state accounts versions status messages blockhashes journal intake queued parked attempts dead"
        " images_even images_odd refusals refused batches turns"
    ),
)
ACCOUNTS = LedgerScript[list[list[int | bytes | None]]]("accounts", _keys("accounts versions"))
STATE = LedgerScript[tuple[list[bytes], list[bytes]]]("state", _keys("meta state"))
PULSE = LedgerScript[list[bytes]]("pulse", _keys("meta state queued health"))

HEARTBEAT = LedgerScript[bytes]("heartbeat", _keys("workers meta"))

# ---- blocks

CREATE = LedgerScript[int]("create", _keys("meta state accounts versions blockhashes"))
CLOSE = LedgerScript[list[bytes] | None]("close", _keys("meta state images_even images_odd"))
FINALIZE = LedgerScript[int]("finalize", _keys("meta state blockhashes"))
PRUNE = LedgerScript[int]("prune", _keys("meta state status messages journal"))
JOURNAL = LedgerScript[list[tuple[bytes, list[bytes]]]]("journal", _keys("journal"))
IMAGES_EVEN = LedgerScript[list[bytes | None]]("images", _keys("images_even"))
IMAGES_ODD = LedgerScript[list[bytes | None]]("images", _keys("images_odd"))

# ---- restore

FENCE = LedgerScript[int]("fence", _keys("meta restorer epochs leftovers"))
RENEW = LedgerScript[int]("renew", _keys("restorer progress"))
FORGET = LedgerScript[int]("forget", _keys("restorer intake queued parked attempts dead dead_bytes batches"))
SWITCH = LedgerScript[int](
    "switch",
    _keys(
        "meta restorer intake dead leftovers"
        " loaded.accounts loaded.versions loaded.status loaded.messages loaded.blockhashes"
        " accounts versions status messages blockhashes state journal"
    ),
)
