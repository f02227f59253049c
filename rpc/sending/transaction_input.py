"""Transactions as clients send them: text in an encoding, checked with Agave's words."""

from __future__ import annotations

from solders.message import Message, MessageV0
from solders.transaction import SanitizeError, VersionedTransaction

from banking.errors import InvalidTransaction
from banking.intake.reasons import Reason
from banking.transaction import PACKET_BYTES, SignedTransaction, VerifiedTransaction, verify
from rpc.encoding.text import decode_base58, decode_base64
from rpc.jsonrpc.errors import RpcError, SignaturesDoNotVerify, invalid_params
from rpc.jsonrpc.params import Config

_TYPE = "solana_transaction::versioned::VersionedTransaction"
#: Characters that 1,232 bytes need at most.
_MAX_BASE58 = 1683
_MAX_BASE64 = 1644


def decode_text(text: str, config: Config) -> bytes:
    """The bytes of a transaction in the configuration's `encoding` (base58 by default). Raises -32602."""
    encoding = config.choice("encoding", ("base58", "base64", "binary"), "base58")
    if encoding == "base64":
        return _bounded(_from_base64(text))
    return _bounded(_from_base58(text))


def _from_base58(text: str) -> bytes:
    if len(text) > _MAX_BASE58:
        raise _too_large("base58", len(text), _MAX_BASE58)
    try:
        return decode_base58(text)
    except ValueError as error:
        raise invalid_params(f"invalid base58 encoding: {error}") from None


def _from_base64(text: str) -> bytes:
    if len(text) > _MAX_BASE64:
        raise _too_large("base64", len(text), _MAX_BASE64)
    try:
        return decode_base64(text)
    except ValueError as error:
        raise invalid_params(f"invalid base64 encoding: {error}") from None


def _too_large(encoding: str, size: int, max_length: int) -> RpcError:
    return invalid_params(
        f"{encoding} encoded {_TYPE} too large: {size} bytes (max: encoded/raw {max_length}/{PACKET_BYTES})"
    )


def _bounded(raw: bytes) -> bytes:
    if len(raw) > PACKET_BYTES:
        raise invalid_params(f"decoded {_TYPE} too large: {len(raw)} bytes (max: {PACKET_BYTES} bytes)")
    return raw


def verified(raw: bytes) -> VerifiedTransaction:
    """A transaction fit for intake. Raises -32602, or -32003 when a signature does not verify."""
    try:
        return verify(raw)
    except InvalidTransaction as error:
        if error.code is Reason.SIGNATURE_FAILURE:
            raise SignaturesDoNotVerify from None
        if error.code is Reason.UNSUPPORTED_VERSION:
            raise invalid_params(f"invalid transaction: {error.reason}") from None
        raise invalid_params(f"failed to deserialize {_TYPE}: {error.reason}") from None


def judged(raw: bytes) -> tuple[SignedTransaction, bool]:
    """A well-formed transaction, and whether its signatures verify. Raises -32602."""
    try:
        return verified(raw), True
    except SignaturesDoNotVerify:
        return unverified(raw), False


def unverified(raw: bytes) -> SignedTransaction:
    """A well-formed transaction whose signatures are not verified: for simulation only. Raises -32602."""
    try:
        parsed = VersionedTransaction.from_bytes(raw)
    except ValueError as error:
        raise invalid_params(f"failed to deserialize {_TYPE}: {error}") from None
    message = parsed.message
    if not isinstance(message, Message | MessageV0):
        raise invalid_params("invalid transaction: unsupported transaction version: use legacy or 0")
    try:
        parsed.sanitize()
    except SanitizeError as error:
        raise invalid_params(f"invalid transaction: {error}") from None
    # Its signature is not verified and may be another transaction's: the message alone identifies it.
    message_hash = bytes(message.hash())
    return SignedTransaction(raw, parsed, 2 * message_hash, message_hash, bytes(message.recent_blockhash))
