"""From what a client sends to a transaction that may be executed: decoding, canonical form, signatures."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import base58
from solders.message import Message, MessageV0
from solders.transaction import SanitizeError, TransactionError, VersionedTransaction

from banking.errors import InvalidTransaction
from banking.intake.reasons import Reason

#: The most bytes of a transaction (Solana's packet size: IPv6 minimum MTU less headers).
PACKET_BYTES = 1232
SIGNATURE_BYTES = 64
#: The first byte of a message of any version but the first, whose header begins with the number of its signers.
_VERSION_BIT = 0x80

TransactionInput = bytes | str | VersionedTransaction


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A well-formed transaction. Its signatures are not verified: see `VerifiedTransaction`."""

    raw: bytes
    parsed: VersionedTransaction
    signature: bytes
    message_hash: bytes
    blockhash: bytes

    @property
    def lookups(self) -> bool:
        """Whether it takes accounts from address lookup tables."""
        if not self._versioned:
            return False
        message = self.parsed.message
        return isinstance(message, MessageV0) and bool(message.address_table_lookups)

    @property
    def header_at(self) -> int:
        """Where the message's header stands in `raw`: three counts of accounts, then the number of its keys."""
        # Every count in a packet fits into one byte. The signatures come first, and a version takes a byte.
        return 1 + SIGNATURE_BYTES * self.raw[0] + self._versioned

    @property
    def blockhash_at(self) -> int:
        """Where the blockhash stands in `raw`: behind the message's header and its account keys."""
        header = self.header_at
        return header + 4 + 32 * self.raw[header + 3]

    @property
    def _versioned(self) -> bool:
        return self.raw[1 + SIGNATURE_BYTES * self.raw[0]] >= _VERSION_BIT


class VerifiedTransaction(SignedTransaction):
    """A transaction in its canonical form whose every ed25519 signature is right: to make one is to verify it.

    Everything in it follows from the bytes that were verified, so nothing can claim it otherwise. Raises
    InvalidTransaction.
    """

    __slots__ = ()

    def __init__(self, raw: bytes) -> None:
        transaction = parse(raw)
        # Most of what a transaction costs.
        try:
            transaction.parsed.verify_and_hash_message()
        except TransactionError:
            raise InvalidTransaction("SignatureFailure", Reason.SIGNATURE_FAILURE) from None
        super().__init__(
            transaction.raw, transaction.parsed, transaction.signature, transaction.message_hash, transaction.blockhash
        )


class AcceptedTransaction(SignedTransaction):
    """A transaction out of intake's records: its signatures were verified before it was written there."""

    __slots__ = ()


def accepted(raw: bytes, hash: bytes) -> AcceptedTransaction:
    """The transaction that intake holds as `raw`, with the hash of its message."""
    at = 1 + SIGNATURE_BYTES * raw[0]
    # The header of a version 0 message has a byte more in front.
    at += 4 + (raw[at] >> 7)
    blockhash_at = at + 32 * raw[at - 1]
    return AcceptedTransaction(
        raw,
        VersionedTransaction.from_bytes(raw),
        raw[1 : 1 + SIGNATURE_BYTES],
        hash,
        raw[blockhash_at : blockhash_at + 32],
    )


def decode(transaction: TransactionInput) -> bytes:
    """The raw bytes of a transaction given as bytes, base64, base58 or a solders object.

    Raises InvalidTransaction when the text is neither encoding.
    """
    if isinstance(transaction, VersionedTransaction):
        return bytes(transaction)
    if isinstance(transaction, bytes):
        return transaction
    text = transaction.strip()
    # Twice the packet is more than either encoding of a valid one needs; longer text is not decoded at all.
    if not text or len(text) > 2 * PACKET_BYTES:
        code = Reason.TOO_LARGE if text else Reason.MALFORMED
        raise InvalidTransaction(
            f"not a transaction: {len(text)} characters (at most {PACKET_BYTES} bytes encoded)", code
        )
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = None
    if raw is not None and _parses(raw):
        return raw
    # Base58's alphabet lies within base64's: text that is both is what parses.
    try:
        from_base58 = base58.b58decode(text)
    except ValueError:
        from_base58 = None
    if from_base58 is not None and (raw is None or _parses(from_base58)):
        return from_base58
    if raw is None:
        raise InvalidTransaction("not base64 and not base58")
    return raw


def _parses(raw: bytes) -> bool:
    try:
        VersionedTransaction.from_bytes(raw)
    except ValueError:
        return False
    return True


def parse(raw: bytes) -> SignedTransaction:
    """Parse `raw` and insist on its canonical form; the signatures are not looked at. Raises InvalidTransaction."""
    if len(raw) > PACKET_BYTES:
        raise InvalidTransaction(f"too large: {len(raw)} bytes, at most {PACKET_BYTES}", Reason.TOO_LARGE)
    try:
        parsed = VersionedTransaction.from_bytes(raw)
    except ValueError as error:
        raise InvalidTransaction(f"malformed or truncated: {error}") from None
    message = parsed.message
    if not isinstance(message, Message | MessageV0):
        raise InvalidTransaction("unsupported transaction version: use legacy or 0", Reason.UNSUPPORTED_VERSION)
    # Two spellings of one transaction would be two records of one signature; trailing bytes are one such case.
    if bytes(parsed) != raw:
        raise InvalidTransaction("malformed: trailing bytes or a non-canonical encoding")
    if len(parsed.signatures) < message.header.num_required_signatures:
        raise InvalidTransaction("SignatureFailure: a required signature is missing", Reason.SIGNATURE_FAILURE)
    try:
        parsed.sanitize()
    except SanitizeError as error:
        raise InvalidTransaction(f"malformed: {error}") from None
    return SignedTransaction(
        raw=raw,
        parsed=parsed,
        signature=bytes(parsed.signatures[0]),
        message_hash=bytes(message.hash()),
        blockhash=bytes(message.recent_blockhash),
    )


def message_hash(raw: bytes) -> bytes:
    """Solana's hash of the message in a well-formed transaction."""
    return bytes(VersionedTransaction.from_bytes(raw).message.hash())


def check_signatures(transaction: SignedTransaction) -> VerifiedTransaction | AcceptedTransaction:
    """`transaction`, every signature verified unless it was before. Raises InvalidTransaction: SIGNATURE_FAILURE."""
    if isinstance(transaction, VerifiedTransaction | AcceptedTransaction):
        return transaction
    return VerifiedTransaction(transaction.raw)


def verify(raw: bytes) -> VerifiedTransaction:
    """Parse `raw`, insist on its canonical form, and verify every signature. Raises InvalidTransaction."""
    return VerifiedTransaction(raw)
