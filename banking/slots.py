"""Slots and recent blockhashes."""

from __future__ import annotations

import hashlib

from banking.ledger import BLOCKHASH_HISTORY, Ledger, State


def next_blockhash(state: State) -> bytes:
    """SHA-256 over the parent's hash, the slot that closes, and all that was counted up to it."""
    facts = f"{state.ledger_id}:{state.epoch}:{state.slot}:{state.seq}:{state.processed}:{state.failed}"
    return hashlib.sha256(state.blockhash + facts.encode()).digest()


def advance_slot(ledger: Ledger, *, interval: float = 0.0) -> bool:
    """Close the open slot if it is at least `interval` seconds old; False when it is not, or somebody else did.

    Safe with any number of callers: the script advances only from the slot that this caller saw.
    """
    state = ledger.state()
    keys = ledger.epoch_keys
    advanced = ledger.run(
        "advance",
        [ledger.keys.meta, keys.state, keys.blockhashes],
        [state.epoch, state.slot, next_blockhash(state), BLOCKHASH_HISTORY, int(interval * 1000)],
    )
    return bool(advanced)
