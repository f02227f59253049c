"""Subscriptions, read from the parameters of the calls that make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from rpc.encoding.accounts import AccountEncoding
from rpc.encoding.blocks import BlockShape, read_shape
from rpc.index.filters import Filter, read_filters
from rpc.jsonrpc.errors import invalid_params, invalid_request
from rpc.jsonrpc.params import Commitment, Params, to_pubkey, wrong_type


class Outbox(Protocol):
    """The receiver of notifications: the connection that subscribed."""

    def post(self, text: str) -> None:
        """Queue a message; a connection that is too slow is closed."""


@dataclass(eq=False, slots=True)
class Subscription:
    """One subscription. `topic` is the account, program, signature or address it is about (b"" = everything)."""

    id: int
    kind: str
    outbox: Outbox
    topic: bytes = b""
    commitment: Commitment = Commitment.FINALIZED
    encoding: AccountEncoding = field(default_factory=lambda: AccountEncoding("base64"))
    filters: list[Filter] = field(default_factory=list)
    block: BlockShape | None = None
    #: signatureSubscribe only: notify of the receipt of the transaction, too.
    wants_received: bool = False
    #: signatureSubscribe only: whether the receipt was notified.
    received_sent: bool = False
    done: bool = False


Parse = Callable[[Params, Subscription], None]


def _account(params: Params, subscription: Subscription) -> None:
    subscription.topic = bytes(params.pubkey(0))
    config = params.config(1)
    subscription.commitment = config.commitment()
    subscription.encoding = AccountEncoding.of(config)


def _program(params: Params, subscription: Subscription) -> None:
    _account(params, subscription)
    subscription.filters = read_filters(params.config(1))


def _signature(params: Params, subscription: Subscription) -> None:
    subscription.topic = bytes(params.signature(0))
    config = params.config(1)
    subscription.commitment = config.commitment()
    subscription.wants_received = config.flag("enableReceivedNotification")


def _logs(params: Params, subscription: Subscription) -> None:
    wanted = params.need(0)
    subscription.commitment = params.config(1).commitment()
    if isinstance(wanted, str):
        if wanted not in ("all", "allWithVotes"):
            raise invalid_params(f"Invalid params: unknown variant `{wanted[:64]}`, expected `all`, `allWithVotes`.")
        return
    if not isinstance(wanted, dict) or not isinstance(wanted.get("mentions"), list):
        raise wrong_type(wanted, "`all`, `allWithVotes` or `mentions`")
    mentions = wanted["mentions"]
    if len(mentions) != 1:
        raise invalid_request("Invalid Request: Only 1 address supported")
    subscription.topic = bytes(to_pubkey(mentions[0]))


def _block(params: Params, subscription: Subscription) -> None:
    wanted, config = params.need(0), params.config(1)
    subscription.commitment = config.commitment()
    if not subscription.commitment.settled:
        raise invalid_params("Method does not support commitment below `confirmed`")
    subscription.block = read_shape(config)
    if isinstance(wanted, dict):
        subscription.topic = bytes(to_pubkey(wanted.get("mentionsAccountOrProgram")))
    elif wanted != "all":
        raise wrong_type(wanted, "`all` or `mentionsAccountOrProgram`")


def _nothing(_: Params, __: Subscription) -> None:
    pass


#: Kind to the reader of its parameters. The methods are `<kind>Subscribe` and `<kind>Unsubscribe`.
KINDS: dict[str, Parse] = {
    "account": _account,
    "program": _program,
    "signature": _signature,
    "logs": _logs,
    "block": _block,
    "slot": _nothing,
    "root": _nothing,
    "slotsUpdates": _nothing,
}

#: Notifications are named after the kind, but for one.
NOTIFICATIONS = {kind: f"{kind}Notification" for kind in KINDS}
