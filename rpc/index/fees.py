"""What the transactions of recent blocks paid for priority, as Agave's cache of prioritization fees has it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from solders.transaction import VersionedTransaction

from banking.execution.reserved import RESERVED
from banking.execution.transaction_meta import unpack_transaction_meta
from banking.ledger.journal import JournalEntry
from rpc.ledger_access.follower import Followed

#: Slots that are remembered.
SLOTS = 150
#: Accounts that are remembered of one slot; of the others only the slot's own minimum is known.
_MAX_ACCOUNTS = 20_000
_COMPUTE_BUDGET = bytes.fromhex("0306466fe5211732ffecadba72c39be7bc8ce5bbc5f7126b2c439b3a40000000")
_SET_PRICE = 3


@dataclass(slots=True)
class _Slot:
    """The least that anybody paid, and that anybody paid who wrote an account, in micro-lamports a unit."""

    least: int
    accounts: dict[bytes, int] = field(default_factory=dict)


class PriorityFees:
    """Follows the journal; knows the slots that this server has seen."""

    def __init__(self) -> None:
        self._slots: OrderedDict[int, _Slot] = OrderedDict()

    def on_entries(self, entries: Iterable[Followed]) -> None:
        """Listener of the follower."""
        for followed in entries:
            if followed.parsed is not None and followed.entry.outcome.ok:
                self._add(followed.entry, followed.parsed)
        while len(self._slots) > SLOTS:
            self._slots.popitem(last=False)

    def of(self, slot: int, accounts: Sequence[bytes]) -> int:
        """What a transaction that writes `accounts` would have had to pay in `slot`, in micro-lamports a unit."""
        found = self._slots.get(slot)
        if found is None:
            return 0
        return max(found.least, *(found.accounts.get(account, 0) for account in accounts), 0)

    def _add(self, entry: JournalEntry, parsed: VersionedTransaction) -> None:
        price = unit_price(entry.raw, parsed)
        slot = self._slots.setdefault(entry.slot, _Slot(price))
        slot.least = min(slot.least, price)
        for key in _written(entry, parsed):
            known = slot.accounts.get(key)
            if known is not None:
                slot.accounts[key] = min(known, price)
            elif len(slot.accounts) < _MAX_ACCOUNTS:
                slot.accounts[key] = price


def unit_price(raw: bytes, parsed: VersionedTransaction) -> int:
    """Micro-lamports that a transaction offers for each compute unit."""
    if _COMPUTE_BUDGET not in raw:
        return 0
    keys = parsed.message.account_keys
    for instruction in parsed.message.instructions:
        data = bytes(instruction.data)
        place = instruction.program_id_index
        if len(data) == 9 and data[0] == _SET_PRICE and bytes(keys[place]) == _COMPUTE_BUDGET:
            return int.from_bytes(data[1:], "little")
    return 0


def _written(entry: JournalEntry, parsed: VersionedTransaction) -> list[bytes]:
    header, keys = parsed.message.header, list(map(bytes, parsed.message.account_keys))
    signers = header.num_required_signatures
    named = keys[: signers - header.num_readonly_signed_accounts]
    named += keys[signers : len(keys) - header.num_readonly_unsigned_accounts]
    if parsed.message.__class__.__name__ == "MessageV0" and (detail := unpack_transaction_meta(entry.detail)):
        named += detail.loaded_writable
    return [key for key in named if key not in RESERVED]
