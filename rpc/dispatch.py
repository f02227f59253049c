"""JSON-RPC 2.0: from the bytes of a request to the bytes of its answer."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rpc.errors import (
    INTERNAL_ERROR,
    Overloaded,
    RpcError,
    internal_error,
    invalid_params,
    invalid_request,
    method_not_found,
    parse_error,
)
from rpc.fault_tolerance import ModeRefused, RedisAway
from rpc.params import Params
from rpc.registry import METHODS, Call, Method
from rpc.services import Services

logger = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()

Id = str | int | float | None


@dataclass(slots=True)
class Reply:
    """The answer's bytes (None: nothing is to be answered), and what the HTTP layer makes of it."""

    body: bytes | None = None
    status: int = 200
    retry_after: float | None = None
    stale: bool = False


@dataclass(slots=True)
class _Notes:
    """What the calls of one request said beside their answers."""

    stale: bool = False
    errors: list[RpcError] = field(default_factory=list)


def parse(body: bytes) -> Any:
    """The JSON value of `body`. Raises RpcError."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise parse_error() from None


def encode_error(error: RpcError, id: Id) -> bytes:
    return _encoder.encode({"jsonrpc": "2.0", "error": error.to_json(), "id": id})


def encode_result(result: Any, id: Id) -> bytes:
    return _encoder.encode({"jsonrpc": "2.0", "result": result, "id": id})


async def answer(services: Services, body: bytes, address: str) -> Reply:
    """Answer an HTTP body: one call or a batch."""
    notes = _Notes()
    try:
        message = parse(body)
        if isinstance(message, list):
            content = await _answer_batch(services, message, address, notes)
        else:
            content = await _answer_one(services, message, address, notes)
    except RpcError as error:
        notes.errors.append(error)
        content = encode_error(error, None)
    return _reply(content, notes)


async def answer_value(services: Services, message: Any, address: str) -> bytes | None:
    """Answer one call that was parsed already: for websockets."""
    return await _answer_one(services, message, address, _Notes())


def _reply(content: bytes | None, notes: _Notes) -> Reply:
    reply = Reply(content, stale=notes.stale)
    waits = [error.retry_after for error in notes.errors if error.retry_after is not None]
    if waits:
        reply.retry_after = max(waits)
    if any(isinstance(error, ModeRefused) and error.offline for error in notes.errors):
        reply.status = 503
    elif any(isinstance(error, Overloaded) for error in notes.errors):
        reply.status = 429
    return reply


async def _answer_batch(services: Services, messages: list[Any], address: str, notes: _Notes) -> bytes | None:
    limit = services.settings.rpc_batch_limit
    if not messages:
        raise invalid_request()
    if len(messages) > limit:
        raise invalid_request(f"Batch of {len(messages)} calls: at most {limit} are allowed")
    parts = await asyncio.gather(*(_answer_one(services, message, address, notes) for message in messages))
    answers = [part for part in parts if part is not None]
    return b"[" + b",".join(answers) + b"]" if answers else None


async def _answer_one(services: Services, message: Any, address: str, notes: _Notes) -> bytes | None:
    id: Id = None
    try:
        id = _id_of(message)
        if "id" not in message:
            # A notification is not answered, and nothing here is worth doing unanswered.
            _method_of(message)
            return None
        method, values = _method_of(message), _params_of(message)
        found = METHODS.get(method)
        if found is None:
            raise method_not_found()
        services.limits.spend(address)
        return await _call(Call(services, Params(values), address), found, values, id, notes)
    except RpcError as error:
        notes.errors.append(error)
        return encode_error(error, id)


async def _call(call: Call, method: Method, values: list[Any], id: Id, notes: _Notes) -> bytes:
    services = call.services
    try:
        result = await services.fault_tolerance.execute_with_fault_tolerance(
            lambda: method.handler(call), method.name, method.operation, local=method.local, timeout=method.timeout
        )
        content = _encoder.encode(result)
    except RedisAway as error:
        kept = services.last_good.recall(method.name, values) if method.cacheable else None
        if kept is None:
            raise
        notes.stale = True
        logger.debug("%s is answered from the last good answers: %s", method.name, error)
        return _envelope(kept, id)
    except RpcError as error:
        if error.code == INTERNAL_ERROR:
            logger.warning("%s failed: %s", method.name, error)
        raise
    except Exception as error:
        logger.exception("%s failed", method.name)
        raise internal_error() from error
    if method.cacheable:
        services.last_good.remember(method.name, values, content)
    return _envelope(content, id)


def _envelope(result: bytes, id: Id) -> bytes:
    return b'{"jsonrpc":"2.0","result":' + result + b',"id":' + _encoder.encode(id) + b"}"


def _id_of(message: Any) -> Id:
    if not isinstance(message, dict):
        raise invalid_request()
    id = message.get("id")
    if id is not None and (isinstance(id, bool) or not isinstance(id, str | int | float)):
        raise invalid_request()
    return id


def _method_of(message: dict[str, Any]) -> str:
    method = message.get("method")
    if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise invalid_request()
    return method


def _params_of(message: dict[str, Any]) -> list[Any]:
    params = message.get("params")
    if params is None:
        return []
    if isinstance(params, dict):
        # Agave knows positional parameters only; an empty object is how some clients say "none".
        if params:
            raise invalid_params("Invalid params: invalid type: map, expected a sequence.")
        return []
    if not isinstance(params, list):
        raise invalid_request()
    return params
