"""Accounts in the encodings of Solana's RPC."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import base58
import zstandard
from solders.pubkey import Pubkey

from banking.ledger.records import AccountView, unpack_account
from rpc.encoding.parsed_accounts import parse_account
from rpc.jsonrpc.errors import RpcError, invalid_request
from rpc.jsonrpc.params import Config, DataSlice

ENCODINGS = ("base58", "base64", "base64+zstd", "jsonParsed", "binary")
#: Base58 costs quadratic time, so Agave refuses it beyond this many bytes.
_MAX_BASE58_BYTES = 128
_TOO_LARGE = "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding."

_compressor = zstandard.ZstdCompressor(level=3)


class AccountEncoding:
    """How a client wants accounts: the encoding and the part of the data."""

    def __init__(self, name: str, part: DataSlice | None = None) -> None:
        self.name = name
        self.part = part

    @classmethod
    def of(cls, config: Config, default: str = "binary") -> AccountEncoding:
        """Read `encoding` and `dataSlice` of a configuration. Raises -32602."""
        return cls(config.choice("encoding", ENCODINGS, default), config.data_slice())

    @property
    def parsed(self) -> bool:
        return self.name == "jsonParsed"

    def encode(self, key: bytes, record: bytes, decimals: Mapping[bytes, int]) -> dict[str, Any]:
        """A `UiAccount`; `decimals` are those of the mints, by mint. Raises -32600 when too large for base58."""
        view = unpack_account(record)
        return {
            "lamports": view.lamports,
            "owner": str(Pubkey(view.owner)),
            "executable": view.executable,
            "rentEpoch": view.rent_epoch,
            "space": len(view.data),
            "data": self._data(key, record, view, decimals),
        }

    def _data(self, key: bytes, record: bytes, view: AccountView, decimals: Mapping[bytes, int]) -> Any:
        if self.parsed:
            parsed = parse_account(key, record, view, decimals)
            if parsed is not None:
                return parsed
        data = view.data if self.part is None else self.part.cut(view.data)
        match self.name:
            case "base64" | "jsonParsed":
                return [base64.b64encode(data).decode(), "base64"]
            case "base64+zstd":
                return [base64.b64encode(_zstd(data)).decode(), "base64+zstd"]
            case "base58":
                return [_base58(data), "base58"]
            case _:
                return _base58(data)


def _zstd(data: bytes) -> bytes:
    # As a stream, like Agave: the frame does not tell the size of its content.
    stream = _compressor.compressobj()
    return stream.compress(data) + stream.flush()


def _base58(data: bytes) -> str:
    if len(data) > _MAX_BASE58_BYTES:
        raise _too_large()
    return base58.b58encode(data).decode()


def _too_large() -> RpcError:
    return invalid_request(_TOO_LARGE)
