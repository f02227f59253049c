"""Filters of getProgramAccounts and programSubscribe."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any

import base58

from banking.ledger.records import HEADER_SIZE
from rpc.encoding.token_layout import is_token_account
from rpc.jsonrpc.errors import invalid_params
from rpc.jsonrpc.params import Config, wrong_type

#: Whether an account record passes.
Filter = Callable[[bytes], bool]

_MAX_FILTERS = 4
_MAX_MEMCMP_BYTES = 128


def read_filters(config: Config) -> list[Filter]:
    """The filters of a configuration. Raises -32602."""
    values = config.items("filters", 1000)
    if len(values) > _MAX_FILTERS:
        raise invalid_params(f"Too many filters provided; max {_MAX_FILTERS}")
    return [_read_filter(value) for value in values]


def passes(filters: Iterable[Filter], record: bytes) -> bool:
    return all(condition(record) for condition in filters)


def _read_filter(value: Any) -> Filter:
    if value == "tokenAccountState":
        return is_token_account
    if not isinstance(value, dict):
        raise wrong_type(value, "a filter")
    config = Config(value)
    size = config.uint("dataSize")
    if size is not None:
        return lambda record: len(record) - HEADER_SIZE == size
    if "tokenAccountState" in value:
        return is_token_account
    memcmp = config.sub("memcmp")
    if memcmp is None:
        raise invalid_params("Invalid params: unknown filter, expected `dataSize`, `memcmp` or `tokenAccountState`.")
    offset = memcmp.uint("offset")
    if offset is None:
        raise invalid_params("Invalid params: missing field `offset`.")
    wanted = _memcmp_bytes(memcmp)
    at = HEADER_SIZE + offset
    return lambda record: record[at : at + len(wanted)] == wanted


def _memcmp_bytes(memcmp: Config) -> bytes:
    value = memcmp.raw("bytes")
    if isinstance(value, list):
        if not all(isinstance(item, int) and 0 <= item <= 255 for item in value):
            raise invalid_params("Invalid params: invalid value in memcmp bytes, expected u8.")
        wanted = bytes(value)
    elif isinstance(value, str):
        wanted = _decode(value, memcmp.choice("encoding", ("base58", "base64", "binary"), "base58"))
    else:
        raise wrong_type(value, "memcmp bytes")
    if len(wanted) > _MAX_MEMCMP_BYTES:
        raise invalid_params("Invalid param: encoded binary data too large; at most 128 bytes")
    return wanted


def _decode(text: str, encoding: str) -> bytes:
    if len(text) > 2 * _MAX_MEMCMP_BYTES:
        raise invalid_params("Invalid param: encoded binary data too large; at most 128 bytes")
    try:
        if encoding == "base64":
            return base64.b64decode(text, validate=True)
        return bytes(base58.b58decode(text))
    except (ValueError, binascii.Error):
        raise invalid_params(f"Invalid param: memcmp bytes are not {encoding}") from None
