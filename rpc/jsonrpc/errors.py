"""Solana's JSON-RPC errors: the codes, and the `data` that clients read beside them."""

from __future__ import annotations

from typing import Any

from config.errors import TrunklineError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# Agave's rpc-client-types/src/custom_error.rs.
BLOCK_CLEANED_UP = -32001
SEND_TRANSACTION_PREFLIGHT_FAILURE = -32002
TRANSACTION_SIGNATURE_VERIFICATION_FAILURE = -32003
BLOCK_NOT_AVAILABLE = -32004
NODE_UNHEALTHY = -32005
NO_SNAPSHOT = -32008
KEY_EXCLUDED_FROM_SECONDARY_INDEX = -32010
UNSUPPORTED_TRANSACTION_VERSION = -32015
MIN_CONTEXT_SLOT_NOT_REACHED = -32016
FILTER_TRANSACTION_NOT_FOUND = -32020

_NO_DATA = object()


class RpcError(TrunklineError):
    """An answer of kind error. Without `data` the member is left out: `"data": null` breaks clients."""

    def __init__(self, code: int, message: str, data: Any = _NO_DATA, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self._data = data
        self.retry_after = retry_after

    def to_json(self) -> dict[str, Any]:
        """The `error` member of the answer."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self._data is not _NO_DATA:
            body["data"] = self._data
        return body


class Overloaded(RpcError):
    """Too much at once: answered with HTTP 429 and as a JSON-RPC error."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(NODE_UNHEALTHY, message, {"numSlotsBehind": None}, retry_after=retry_after)


class SignaturesDoNotVerify(RpcError):
    """A transaction that is not by those it names."""

    def __init__(self) -> None:
        super().__init__(TRANSACTION_SIGNATURE_VERIFICATION_FAILURE, "Transaction signature verification failure")


def parse_error() -> RpcError:
    return RpcError(PARSE_ERROR, "Parse error")


def invalid_request(message: str = "Invalid request") -> RpcError:
    return RpcError(INVALID_REQUEST, message)


def method_not_found() -> RpcError:
    return RpcError(METHOD_NOT_FOUND, "Method not found")


def invalid_params(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


def internal_error() -> RpcError:
    return RpcError(INTERNAL_ERROR, "Internal error")


def node_unhealthy(message: str = "Node is unhealthy", slots_behind: int | None = None) -> RpcError:
    """`slots_behind` None: not known."""
    return RpcError(NODE_UNHEALTHY, message, {"numSlotsBehind": slots_behind})


def block_not_available(slot: int) -> RpcError:
    return RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")


def block_cleaned_up(slot: int, first: int) -> RpcError:
    return RpcError(
        BLOCK_CLEANED_UP,
        f"Block {slot} cleaned up, does not exist on node. First available block: {first}",
    )


def min_context_slot_not_reached(slot: int) -> RpcError:
    return RpcError(MIN_CONTEXT_SLOT_NOT_REACHED, "Minimum context slot has not been reached", {"contextSlot": slot})


def unsupported_transaction_version(version: int) -> RpcError:
    return RpcError(
        UNSUPPORTED_TRANSACTION_VERSION,
        f"Transaction version ({version}) is not supported by the requesting client. Please try the request again "
        f'with the following configuration parameter: "maxSupportedTransactionVersion": {version}',
    )


def filter_transaction_not_found(signature: str) -> RpcError:
    return RpcError(FILTER_TRANSACTION_NOT_FOUND, f"Transaction {signature} not found")
