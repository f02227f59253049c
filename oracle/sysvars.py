"""The sysvars of a slot, as `docs/execution.md` derives them from the headers before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solders.account import Account
from solders.clock import Clock
from solders.epoch_schedule import EpochSchedule
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.slot_history import SlotHistory
from solders.solders import LiteSVM

from oracle.format import Header

SLOTS_PER_EPOCH = 432_000
SLOT_HASHES = 512
RECENT_BLOCKHASHES = 150
RECENT_BLOCKHASHES_BYTES = 6_008
SLOT_HISTORY = 1 << 20
LAMPORTS_PER_SIGNATURE = 5_000

RECENT_BLOCKHASHES_KEY = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")
_SYSVAR_OWNER = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")


@dataclass(frozen=True, slots=True)
class Sysvars:
    """What differs from slot to slot. Hashes have the newest first; `unix_seconds` is when the slot began."""

    slot: int
    unix_seconds: int
    hashes: list[tuple[int, bytes]]

    @property
    def environment_blockhash(self) -> bytes:
        """What nonce instructions take for the newest blockhash."""
        return self.hashes[0][1]


def derive(headers: Sequence[Header]) -> Sysvars:
    """The sysvars of the slot behind the last of `headers` (ascending; 512 of them suffice)."""
    last = headers[-1]
    # A slot's own hash is known only when it is archived: its parent's stands for it.
    hashes = [(header.slot, header.parent) for header in reversed(headers[-SLOT_HASHES:])]
    return Sysvars(last.slot + 1, last.time_ms // 1000, hashes)


class Calendar:
    """Every slot since the first, for the SlotHistory sysvar."""

    def __init__(self) -> None:
        self._history = SlotHistory.default()

    def upto(self, slot: int) -> SlotHistory:
        """The history with all slots from 0 to `slot` in it, as far back as its bits reach; the next one is open."""
        for one in range(max(self._history.next_slot, slot + 1 - SLOT_HISTORY), slot + 1):
            self._history.add(one)
        return self._history


def install(vm: LiteSVM, sysvars: Sysvars, calendar: Calendar) -> None:
    """Give them to the VM."""
    epoch = sysvars.slot // SLOTS_PER_EPOCH
    vm.set_epoch_schedule(EpochSchedule.custom(SLOTS_PER_EPOCH, SLOTS_PER_EPOCH, False))
    vm.set_clock(Clock(sysvars.slot, sysvars.unix_seconds, epoch, epoch + 1, sysvars.unix_seconds))
    vm.set_slot_hashes([(slot, Hash.from_bytes(value)) for slot, value in sysvars.hashes])
    vm.set_slot_history(calendar.upto(sysvars.slot - 1))
    vm.set_account(RECENT_BLOCKHASHES_KEY, _recent_blockhashes(sysvars))


def _recent_blockhashes(sysvars: Sysvars) -> Account:
    rows = [value + LAMPORTS_PER_SIGNATURE.to_bytes(8, "little") for _, value in sysvars.hashes[:RECENT_BLOCKHASHES]]
    data = len(rows).to_bytes(8, "little") + b"".join(rows)
    return Account(1, data.ljust(RECENT_BLOCKHASHES_BYTES, b"\0"), _SYSVAR_OWNER, executable=False)
