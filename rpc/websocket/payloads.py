"""The texts of notifications. A payload is encoded once, however many subscribe to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature

from banking.ledger.records import pack_account
from rpc.encoding.accounts import AccountEncoding
from rpc.encoding.transactions import error_value
from rpc.jsonrpc.errors import RpcError
from rpc.ledger_access.follower import Followed
from rpc.websocket.subscription import NOTIFICATIONS, Subscription

_encoder = msgspec.json.Encoder()
#: The record sent for an account that is gone, as Agave does.
_GONE = pack_account(Account(lamports=0, data=b"", owner=Pubkey.default(), executable=False))


def payload(result: Any) -> str:
    """The JSON text of a result."""
    return _encoder.encode(result).decode()


def in_slot(slot: int, value: Any) -> dict[str, Any]:
    return {"context": {"slot": slot}, "value": value}


def post(subscription: Subscription, text: str) -> None:
    """Send a payload to one subscriber."""
    name = NOTIFICATIONS[subscription.kind]
    subscription.outbox.post(
        f'{{"jsonrpc":"2.0","method":"{name}","params":{{"result":{text},"subscription":{subscription.id}}}}}'
    )


class AccountPayloads:
    """Payloads of one write to an account, each encoding made at its first use."""

    def __init__(self, key: bytes, record: bytes, slot: int, decimals: Mapping[bytes, int]) -> None:
        self._key = key
        self.record = record or _GONE
        self._slot = slot
        self._decimals = decimals
        self._made: dict[tuple[str, AccountEncodingKey], str] = {}

    def get(self, kind: str, encoding: AccountEncoding) -> str:
        """The payload for an account or a program subscription."""
        wanted = (kind, (encoding.name, encoding.part))
        made = self._made.get(wanted)
        if made is None:
            made = self._made[wanted] = self._make(kind, encoding)
        return made

    def _make(self, kind: str, encoding: AccountEncoding) -> str:
        try:
            account = encoding.encode(self._key, self.record, self._decimals)
        except RpcError:
            # Too large for base58: Agave says so in the place of the data.
            account = AccountEncoding("base64").encode(self._key, self.record, self._decimals)
            account["data"] = "error: data too large for bs58 encoding"
        value = account if kind == "account" else {"pubkey": str(Pubkey(self._key)), "account": account}
        return payload(in_slot(self._slot, value))


AccountEncodingKey = tuple[str, Any]


def logs_payload(followed: Followed) -> str:
    """The payload for log subscriptions."""
    outcome = followed.entry.outcome
    value = {
        "signature": str(Signature.from_bytes(followed.entry.signature)),
        "err": error_value(outcome.err),
        "logs": outcome.logs,
    }
    return payload(in_slot(followed.entry.slot, value))


def signature_payload(slot: int, err: str | None) -> str:
    return payload(in_slot(slot, {"err": error_value(err)}))


def received_payload(slot: int) -> str:
    return payload(in_slot(slot, "receivedSignature"))
