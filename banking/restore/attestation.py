"""Attestations: a host that has the archive says, signed, that the ledger on this very Redis server was verified.

A host without the archive (or without the key that signs blocks) cannot compare the two by itself. It executes
transactions by the attestation of one that can: signed by the node's key, about one ledger, one epoch and one run of
the Redis server, so that the attestation does not outlive a restart, a failover or a restore (D8).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from banking.errors import LedgerMissing, LedgerRestoring
from banking.ledger.ledger import Ledger, State
from banking.ledger.maintenance import read_attestation, server_run, write_attestation
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.identity import Identity, encode_key, verify_signature

_PREFIX = b"trunkline: this ledger was verified against its archive\n"
#: Seconds between two attestations of one process.
_EVERY = 1.0


class Attestation(msgspec.Struct, frozen=True):
    """What was verified. `run` is the id that the Redis server took when it started."""

    ledger_id: str
    epoch: int
    slot: int
    run: str


class _Signed(msgspec.Struct, frozen=True):
    attestation: bytes
    signer: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the ledger may be executed on here: `problem` is "" when it may. `signer` is the key, in base58."""

    problem: str
    signer: str = ""


class Attester:
    """Says that a ledger was verified, with the node's key."""

    def __init__(self, ledger: Ledger, identity: Identity, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._ledger = ledger
        self._identity = identity
        self._clock = clock
        self._next = 0.0

    def due(self) -> bool:
        """Whether a second has passed since this process said so last."""
        return self._clock.monotonic() >= self._next

    def attest(self, run: str) -> None:
        """Say that the ledger on `run`, which was read before it was verified, is good. Raises as `Ledger.state`."""
        state = self._ledger.state()
        payload = msgspec.msgpack.encode(Attestation(state.ledger_id, state.epoch, state.finalized, run))
        signed = _Signed(payload, self._identity.public_key, self._identity.sign(_PREFIX + payload))
        write_attestation(self._ledger, msgspec.msgpack.encode(signed))
        self._next = self._clock.monotonic() + _EVERY


def standing(ledger: Ledger, trusted: Collection[bytes]) -> Standing:
    """Whether some trusted key attests the ledger as it is served now; with no `trusted` keys, the one found is taken.

    Raises LedgerUnavailable.
    """
    ledger.forget_epoch()
    name = ledger.name
    try:
        state = ledger.state()
    except LedgerMissing:
        return Standing(f"this Redis has no ledger {name!r}; start its instance (`trunkline up`) where its archive is")
    except LedgerRestoring:
        return Standing(f"ledger {name!r} is being restored from its archive")
    raw = read_attestation(ledger)
    if raw is None:
        return Standing(f"no host with the archive has vouched for ledger {name!r} yet; is a maintenance worker up?")
    try:
        signed = msgspec.msgpack.decode(raw, type=_Signed)
        said = msgspec.msgpack.decode(signed.attestation, type=Attestation)
    except msgspec.DecodeError as error:
        return Standing(f"the attestation of the archive's host cannot be read: {error}")
    return Standing(_doubt_of(signed, trusted) or _gap(said, state, server_run(ledger)), encode_key(signed.signer))


def _doubt_of(signed: _Signed, trusted: Collection[bytes]) -> str:
    if not verify_signature(signed.signer, signed.signature, _PREFIX + signed.attestation):
        return "the attestation of the archive's host has a wrong signature"
    if trusted and signed.signer not in trusted:
        return f"the archive's host signs with {encode_key(signed.signer)}, which is not among the trusted keys"
    return ""


def _gap(said: Attestation, state: State, run: str) -> str:
    """Why a good attestation is not about what is served now."""
    if (said.ledger_id, said.epoch) != (state.ledger_id, state.epoch) or said.slot > state.finalized:
        return "the archive's host has not looked at the ledger since it was restored or replaced"
    if said.run != run:
        return "the archive's host has not verified the ledger since this Redis server started"
    return ""
