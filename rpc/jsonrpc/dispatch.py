"""JSON-RPC 2.0: from the bytes of a request to the bytes of its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rpc.context import Context
from rpc.jsonrpc.answer_budget import AnswerBudget, RequestBudget
from rpc.jsonrpc.answer_cache import AnswerCache
from rpc.jsonrpc.call_counts import ABANDONED, OK, UNKNOWN, CallCounts
from rpc.jsonrpc.errors import (
    INTERNAL_ERROR,
    Overloaded,
    RpcError,
    internal_error,
    invalid_params,
    invalid_request,
    method_not_found,
    parse_error,
)
from rpc.jsonrpc.fault_tolerance import FaultTolerance, ModeRefused, RedisAway
from rpc.jsonrpc.limits import Limits
from rpc.jsonrpc.params import Params
from rpc.jsonrpc.registry import METHODS, Call, Method

logger = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()

#: An answer of so many bytes is not worth counting while it is sent.
_SMALL_BYTES = 64 * 1024
#: A websocket's message is made and sent in one piece: an account of the largest size in base64, and some.
_MAX_WEBSOCKET_BYTES = 16 * 1024 * 1024

Id = str | int | float | None


@dataclass(slots=True)
class Reply:
    """The answer in pieces (none: nothing is to be answered), and what the HTTP layer makes of it.

    A large one counts among the server's answers until it is closed.
    """

    parts: list[bytes] = field(default_factory=list)
    status: int = 200
    retry_after: float | None = None
    stale: bool = False
    budget: RequestBudget | None = None

    @property
    def body(self) -> bytes | None:
        """The whole answer."""
        return b"".join(self.parts) if self.parts else None

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))

    def close(self) -> None:
        """The answer is sent, or never will be."""
        if self.budget is not None:
            self.budget.close()


@dataclass(slots=True)
class _Request:
    """One request while it is answered: its sender, its budget, and what the HTTP layer must know of its calls."""

    dispatcher: Dispatcher
    address: str
    budget: RequestBudget
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


class Dispatcher:
    """Answers requests, whichever way they came."""

    def __init__(
        self,
        context: Context,
        *,
        limits: Limits,
        answer_budget: AnswerBudget,
        fault_tolerance: FaultTolerance,
        answer_cache: AnswerCache,
        counts: CallCounts,
    ) -> None:
        self.context = context
        self.settings = context.settings
        self.limits = limits
        self.answer_budget = answer_budget
        self.fault_tolerance = fault_tolerance
        self.answer_cache = answer_cache
        self.counts = counts

    async def answer(self, body: bytes, address: str) -> Reply:
        """Answer an HTTP body: one call or a batch. Close the reply once it is sent."""
        request = _Request(self, address, RequestBudget(self.answer_budget, self.settings.rpc.answer_limit))
        try:
            message = parse(body)
            if isinstance(message, list):
                parts = await _answer_batch(request, message)
            else:
                parts = await _answer_one(request, message)
        except RpcError as error:
            request.errors.append(error)
            parts = [encode_error(error, None)]
        except BaseException:
            request.budget.close()
            raise
        return _reply(parts, request)

    async def answer_value(self, message: Any, address: str) -> Reply:
        """Answer one call that was parsed already: for websockets. Close the reply once it is sent."""
        limit = min(self.settings.rpc.answer_limit, _MAX_WEBSOCKET_BYTES)
        request = _Request(self, address, RequestBudget(self.answer_budget, limit))
        try:
            return _reply(await _answer_one(request, message), request)
        except BaseException:
            request.budget.close()
            raise


def _reply(parts: list[bytes], request: _Request) -> Reply:
    request.budget.made()
    reply = Reply(parts, stale=request.stale, budget=request.budget)
    if reply.size <= _SMALL_BYTES:
        reply.close()
    waits = [error.retry_after for error in request.errors if error.retry_after is not None]
    if waits:
        reply.retry_after = max(waits)
    if any(isinstance(error, ModeRefused) and error.offline for error in request.errors):
        reply.status = 503
    elif any(isinstance(error, Overloaded) for error in request.errors):
        reply.status = 429
    return reply


async def _answer_batch(request: _Request, messages: list[Any]) -> list[bytes]:
    limit = request.dispatcher.settings.rpc.batch_limit
    if not messages:
        raise invalid_request()
    if len(messages) > limit:
        raise invalid_request(f"Batch of {len(messages)} calls: at most {limit} are allowed")
    answers = await asyncio.gather(*(_answer_one(request, message) for message in messages))
    parts: list[bytes] = []
    for part in filter(None, answers):
        parts += (b"," if parts else b"[", *part)
    return [*parts, b"]"] if parts else []


async def _answer_one(request: _Request, message: Any) -> list[bytes]:
    id: Id = None
    began, counted, result = time.perf_counter(), UNKNOWN, ABANDONED
    try:
        id = _id_of(message)
        if "id" not in message:
            # A notification is not answered, and nothing here is worth doing unanswered.
            _method_of(message)
            result = OK
            return []
        name, values = _method_of(message), _params_of(message)
        method = METHODS.get(name)
        if method is None:
            raise method_not_found()
        counted = name
        request.dispatcher.limits.spend(request.address)
        answer = _envelope(await _call(request, method, values), id)
        result = OK
        return answer
    except RpcError as error:
        result = str(error.code)
        request.errors.append(error)
        return [encode_error(error, id)]
    finally:
        request.dispatcher.counts.add(counted, result, time.perf_counter() - began)


async def _call(request: _Request, method: Method, values: list[Any]) -> bytes:
    dispatcher = request.dispatcher
    async with request.budget.call() as budget:
        call = Call(dispatcher.context, Params(values), request.address, budget)

        def run() -> Awaitable[Any]:
            # It may be asked again when Redis was away.
            budget.clear()
            return method.handler(call)

        def nothing_kept() -> bool:
            return not method.cacheable or dispatcher.answer_cache.recall(method.name, values) is None

        try:
            result = await dispatcher.fault_tolerance.execute_with_fault_tolerance(
                run, method.name, method.operation, local=method.local, timeout=method.timeout, may_wait=nothing_kept
            )
            content = _encoder.encode(result)
            budget.settle(len(content))
        except RedisAway as error:
            kept = dispatcher.answer_cache.recall(method.name, values) if method.cacheable else None
            if kept is None:
                raise
            request.stale = True
            logger.debug("%s is answered from the last good answers: %s", method.name, error)
            return kept
        except RpcError as error:
            if error.code == INTERNAL_ERROR:
                logger.warning("%s failed: %s", method.name, error)
            raise
        except Exception as error:
            logger.exception("%s failed", method.name)
            raise internal_error() from error
    if method.cacheable:
        dispatcher.answer_cache.remember(method.name, values, content)
    return content


def _envelope(result: bytes, id: Id) -> list[bytes]:
    return [b'{"jsonrpc":"2.0","result":', result, b',"id":' + _encoder.encode(id) + b"}"]


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
