"""Blocks in the shapes of Solana's RPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from solders.hash import Hash

from rpc.encoding.transactions import (
    ENCODINGS,
    Executed,
    account_list,
    encode_with_meta,
    executed,
    token_balances,
)
from rpc.jsonrpc.errors import unsupported_transaction_version
from rpc.jsonrpc.params import Config
from rpc.ledger_access.blocks import ChainBlock

_encoder = msgspec.json.Encoder()

_DETAILS = ("full", "signatures", "none", "accounts")


@dataclass(frozen=True)
class BlockShape:
    """The parts and the encoding of a block that a client asks for."""

    encoding: str
    details: str
    rewards: bool
    most_version: int | None

    def mints(self, block: ChainBlock) -> set[bytes]:
        """The mints whose decimals the encoding needs."""
        if self.details not in ("full", "accounts"):
            return set()
        return {mint for item in _Items(block).all for mint in item.mints}


@dataclass(frozen=True)
class _Items:
    block: ChainBlock

    @cached_property
    def all(self) -> list[Executed]:
        # What was refused without a fee was never in the block in Solana's sense.
        return [executed(entry) for entry in self.block.entries if entry.raw and entry.included]


def read_shape(config: Config) -> BlockShape:
    """Raises -32602."""
    return BlockShape(
        encoding=config.choice("encoding", ENCODINGS, "json"),
        details=config.choice("transactionDetails", _DETAILS, "full"),
        rewards=config.flag("rewards", True),
        most_version=config.uint("maxSupportedTransactionVersion", maximum=255),
    )


def encode_block(
    block: ChainBlock, shape: BlockShape, decimals: Mapping[bytes, int], make: Callable[[int], None]
) -> dict[str, Any]:
    """A `UiConfirmedBlock`. `make` is called with the bytes of every piece. Raises -32015, and what `make` does."""
    body: dict[str, Any] = {
        "previousBlockhash": str(Hash.from_bytes(block.parent_hash)),
        "blockhash": str(Hash.from_bytes(block.hash)),
        "parentSlot": max(0, block.slot - 1),
        "blockTime": None if block.time_ms is None else block.time_ms // 1000,
        "blockHeight": block.slot,
    }
    items = _Items(block).all
    match shape.details:
        case "full":
            body["transactions"] = [
                _made(encode_with_meta(item, shape.encoding, shape.most_version, decimals), make) for item in items
            ]
        case "accounts":
            body["transactions"] = [_made(_with_accounts(item, shape, decimals), make) for item in items]
        case "signatures":
            body["signatures"] = [str(item.parsed.signatures[0]) for item in items]
    if shape.rewards:
        body["rewards"] = []
    return body


def _made(value: dict[str, Any], make: Callable[[int], None]) -> msgspec.Raw:
    text = msgspec.Raw(_encoder.encode(value))
    make(len(text))
    return text


def _with_accounts(item: Executed, shape: BlockShape, decimals: Mapping[bytes, int]) -> dict[str, Any]:
    if item.versioned and shape.most_version is None:
        raise unsupported_transaction_version(0)
    err = item.err
    body: dict[str, Any] = {
        "transaction": {
            "signatures": [str(signature) for signature in item.parsed.signatures],
            "accountKeys": account_list(item),
        },
        "meta": {
            "err": err,
            "status": {"Ok": None} if err is None else {"Err": err},
            "fee": item.entry.outcome.fee,
            "preBalances": item.detail.pre,
            "postBalances": item.detail.post,
            "preTokenBalances": token_balances(item.detail.pre_tokens, decimals),
            "postTokenBalances": token_balances(item.detail.post_tokens, decimals),
        },
    }
    if shape.most_version is not None:
        body["version"] = 0 if item.versioned else "legacy"
    return body
