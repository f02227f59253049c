"""One websocket: its calls, its subscriptions, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from recovery.degradation import OperationType
from rpc.jsonrpc.dispatch import Dispatcher, Id, encode_error, encode_result, parse
from rpc.jsonrpc.errors import Overloaded, RpcError, invalid_params, invalid_request
from rpc.jsonrpc.params import Params, to_uint
from rpc.websocket.hub import Hub
from rpc.websocket.outgoing import Outgoing
from rpc.websocket.subscription import KINDS, Subscription

logger = logging.getLogger(__name__)

_TRY_LATER = 1013
_SUBSCRIBE, _UNSUBSCRIBE = "Subscribe", "Unsubscribe"


class Connection:
    """Serves one client until it leaves or reads too slowly."""

    def __init__(self, dispatcher: Dispatcher, hub: Hub, socket: WebSocket, address: str) -> None:
        self._dispatcher = dispatcher
        self._hub = hub
        self._socket = socket
        self._address = address
        self._outgoing = Outgoing(dispatcher.answer_budget, dispatcher.settings.rpc.write_limit)
        self._too_slow = False
        self._writing: asyncio.Task[None] | None = None
        self._subscriptions: dict[int, Subscription] = {}

    async def serve(self) -> None:
        """Answer and notify until either side ends it."""
        await self._socket.accept()
        reading, writing = (
            asyncio.create_task(self._read()),
            asyncio.create_task(self._outgoing.send(self._socket.send_text)),
        )
        self._writing = writing
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for subscription in self._subscriptions.values():
                self._hub.remove(subscription)
            self._outgoing.close()
            for task in (reading, writing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task
        if self._too_slow:
            logger.warning("A websocket of %s reads too slowly: closed", self._address)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(1):
                    await self._socket.close(_TRY_LATER, "reading too slowly")

    def post(self, text: str) -> None:
        """Queue a notification; too many unsent bytes end the connection."""
        if self._too_slow or self._outgoing.notify(text):
            return
        self._too_slow = True
        if self._writing is not None:
            # It may wait for ever on a client that has stopped reading.
            self._writing.cancel()

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            body = message.get("text")
            data = body.encode("utf-8", "surrogatepass") if body is not None else message.get("bytes") or b""
            await self._take(data)
            await self._outgoing.drained()

    async def _take(self, body: bytes) -> None:
        try:
            if len(body) > self._dispatcher.settings.rpc.body_limit:
                raise invalid_request("The message is too large")
            message = parse(body)
            if isinstance(message, list):
                if not 0 < len(message) <= self._dispatcher.settings.rpc.batch_limit:
                    raise invalid_request()
                for call in message:
                    await self._take_one(call)
                    await self._outgoing.drained()
            else:
                await self._take_one(message)
        except RpcError as error:
            self._outgoing.answer(encode_error(error, None).decode())

    async def _take_one(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise invalid_request()
        if "id" not in message:
            # Clients keep the connection alive with a `ping` that wants no answer.
            return
        name = message.get("method")
        kind, action = _split(name) if isinstance(name, str) else ("", "")
        if not action:
            reply = await self._dispatcher.answer_value(message, self._address)
            reply.close()
            if reply.body is not None:
                self._outgoing.answer(reply.body.decode())
            return
        id: Id = message["id"] if isinstance(message["id"], str | int | float) else None
        try:
            self._dispatcher.limits.spend(self._address)
            values = message.get("params") or []
            if not isinstance(values, list):
                raise invalid_params("Invalid params: invalid type: map, expected a sequence.")
            if action == _SUBSCRIBE:
                await self._subscribe(kind, Params(values), id)
            else:
                self._unsubscribe(kind, Params(values), id)
        except RpcError as error:
            self._outgoing.answer(encode_error(error, id).decode())

    async def _subscribe(self, kind: str, params: Params, id: Id) -> None:
        await self._dispatcher.fault_tolerance.check(OperationType.READ)
        limit = self._dispatcher.settings.rpc.subscriptions
        self._forget_finished()
        if len(self._subscriptions) >= limit:
            raise Overloaded(f"At most {limit} subscriptions on one connection")
        subscription = Subscription(self._hub.next_id(), kind, self)
        KINDS[kind](params, subscription)
        await self._dispatcher.fault_tolerance.quietly(self._hub.settle_failure(subscription))
        self._subscriptions[subscription.id] = subscription
        # The answer must come before the first notification, so nothing is awaited in between.
        self._outgoing.answer(encode_result(subscription.id, id).decode())
        self._hub.add(subscription)
        await self._dispatcher.fault_tolerance.quietly(self._hub.catch_up(subscription))

    def _unsubscribe(self, kind: str, params: Params, id: Id) -> None:
        number = to_uint(params.need(0))
        subscription = self._subscriptions.get(number)
        if subscription is None or subscription.kind != kind or subscription.done:
            self._subscriptions.pop(number, None)
            raise invalid_params("Invalid subscription id.")
        del self._subscriptions[number]
        self._hub.remove(subscription)
        self._outgoing.answer(encode_result(True, id).decode())

    def _forget_finished(self) -> None:
        finished = [number for number, subscription in self._subscriptions.items() if subscription.done]
        for number in finished:
            del self._subscriptions[number]


def _split(name: str) -> tuple[str, str]:
    """("account", "Subscribe") of `accountSubscribe`; empty texts for a method of another kind."""
    for action in (_UNSUBSCRIBE, _SUBSCRIBE):
        if name.endswith(action) and name.removesuffix(action) in KINDS:
            return name.removesuffix(action), action
    return "", ""
