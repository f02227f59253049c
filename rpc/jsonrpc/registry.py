"""The table of methods. Each one says which kind of operation it is, for the degradation gate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from recovery.degradation import OperationType
from rpc.context import Context
from rpc.jsonrpc.answer_budget import CallBudget
from rpc.jsonrpc.params import Params

#: The operation types that the methods have.
OPERATIONS = (OperationType.READ, OperationType.WRITE, OperationType.STATUS, OperationType.HEALTH_CHECK)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what it may use, its parameters, the network address it came from, the bytes it may take."""

    context: Context
    params: Params
    address: str
    budget: CallBudget


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """A method that can be called. `cacheable`: its last good answer may be given while Redis is away.

    `timeout` is in seconds; None means that of its operation type. `local` methods need no Redis.
    """

    name: str
    handler: Handler
    operation: OperationType
    cacheable: bool
    local: bool
    timeout: float | None


METHODS: dict[str, Method] = {}


def method(
    name: str,
    operation: OperationType = OperationType.READ,
    *,
    cacheable: bool | None = None,
    local: bool = False,
    timeout: float | None = None,
) -> Callable[[Handler], Handler]:
    """Register the decorated coroutine function as JSON-RPC method `name`."""

    def register(handler: Handler) -> Handler:
        keep = operation is not OperationType.WRITE and not local if cacheable is None else cacheable
        METHODS[name] = Method(name, handler, operation, keep, local, timeout)
        return handler

    return register
