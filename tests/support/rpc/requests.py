"""Malformed requests for the fuzz tests, here and in the chaos suite."""

from __future__ import annotations

import json
from typing import Any

import base58
from hypothesis import strategies as st
from solders.keypair import Keypair

import rpc.methods  # noqa: F401 - importing registers the methods
from rpc.jsonrpc.registry import METHODS

JSON_RPC_CODES = frozenset({-32700, -32600, -32601, -32602, -32603, *range(-32021, -32000)})

_key = st.binary(min_size=30, max_size=34).map(lambda raw: base58.b58encode(raw).decode())
_KNOWN_KEYS = [
    "11111111111111111111111111111111",
    "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
    "So11111111111111111111111111111111111111112",
    "SysvarC1ock11111111111111111111111111111111",
]
_signature = st.just(str(Keypair().sign_message(b"fuzz")))
_numbers = st.one_of(
    st.integers(-3, 10),
    st.sampled_from([2**31, 2**53 + 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**30]),
    st.floats(allow_nan=False, allow_infinity=False),
)
_leaves = st.one_of(
    st.none(), st.booleans(), _numbers, st.text(max_size=20), _key, _signature, st.sampled_from(_KNOWN_KEYS)
)
_FIELDS = [
    "commitment", "encoding", "dataSlice", "offset", "length", "filters", "memcmp", "bytes", "dataSize", "limit",
    "before", "until", "minContextSlot", "maxSupportedTransactionVersion", "transactionDetails", "rewards", "mint",
    "programId", "withContext", "sigVerify", "replaceRecentBlockhash", "accounts", "addresses", "skipPreflight",
    "preflightCommitment", "maxRetries", "searchTransactionHistory", "identity", "range", "firstSlot", "lastSlot",
    "filter", "epoch", "innerInstructions", "recentBlockhash",
]  # fmt: skip
_words = st.sampled_from(
    ["processed", "finalized", "base64", "base58", "jsonParsed", "base64+zstd", "json", "full", "none", "accounts"]
)
_values = st.recursive(
    st.one_of(_leaves, _words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=5)),
    max_leaves=8,
)
_params = st.one_of(st.lists(_values, max_size=4), _values)
_ids = st.one_of(st.integers(), st.text(max_size=8), st.none(), st.booleans(), st.lists(st.none(), max_size=1))
_methods = st.one_of(
    st.sampled_from(sorted(METHODS)), st.text(max_size=12), st.sampled_from(["accountSubscribe", "ping", ""]), _leaves
)


@st.composite
def _calls(draw: st.DrawFn) -> dict[str, Any]:
    call: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": draw(_methods), "params": draw(_params)}
    change = draw(st.integers(0, 12))
    if change == 0:
        call["jsonrpc"] = draw(_leaves)
    elif change == 1:
        call.pop(draw(st.sampled_from(sorted(call))))
    elif change == 2:
        call["id"] = draw(_ids)
    return call


def _cut(body: bytes, at: int) -> bytes:
    return body[: at % (len(body) + 1)]


_texts = _calls().map(lambda call: json.dumps(call).encode())
#: Bytes of a request: well-formed calls with odd parameters, cut ones, batches of them, any JSON, any bytes.
bodies = st.one_of(
    _texts,
    _texts,
    st.lists(_calls(), max_size=3).map(lambda calls: json.dumps(calls).encode()),
    st.builds(_cut, _texts, st.integers(0, 10_000)),
    _values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=64),
    st.sampled_from([b"[" * 50_000, b'{"a":' * 20_000, b"\xff\xfe", b'"\\ud800"', b"1e999", b"0" * 1000]),
)


def check_answer(body: bytes, answer: bytes | None) -> None:
    """Every answer is JSON-RPC, and an internal error is a defect here."""
    if answer is None:
        return
    message = json.loads(answer)
    for one in message if isinstance(message, list) else [message]:
        assert one["jsonrpc"] == "2.0"
        assert ("result" in one) != ("error" in one), (body, one)
        if "error" in one:
            error = one["error"]
            assert error["code"] in JSON_RPC_CODES, (body, one)
            assert error["code"] != -32603, (body, one)
            assert isinstance(error["message"], str)
            assert error.get("data", 0) is not None, (body, one)
