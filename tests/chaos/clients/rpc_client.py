"""Clients of the RPC server: one that sends as web3.js does, and one that reads."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from solders.hash import Hash

from tests.chaos.clients.base import Client, Surroundings, now
from tests.chaos.clients.wallets import signature_of

#: web3.js asks again after HTTP 429 this often, after 0.5 s, twice that, and so on.
_RETRIES_AFTER_429 = 5
_POLL, _REBROADCAST, _GIVE_UP = 0.4, 2.0, 25.0


class RpcError(Exception):
    """The server's error answer; `code` is JSON-RPC's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}"[:200])
        self.code = code


class Connection:
    """JSON-RPC over one HTTP connection, opened again when it breaks."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._http: http.client.HTTPConnection | None = None

    def call(self, method: str, *params: Any) -> tuple[Any, bool]:
        """The result, and whether it is a stale one. Raises RpcError, OSError, http.client.HTTPException."""
        pause = 0.5
        for attempt in range(_RETRIES_AFTER_429):
            status, answer, stale = self._post(method, params)
            if status != 429 or attempt == _RETRIES_AFTER_429 - 1:
                break
            time.sleep(pause)
            pause *= 2
        if "error" in answer:
            raise RpcError(answer["error"]["code"], answer["error"]["message"])
        return answer["result"], stale

    def _post(self, method: str, params: tuple[Any, ...]) -> tuple[int, dict[str, Any], bool]:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        if self._http is None:
            self._http = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=8)
        try:
            self._http.request("POST", "/", body, {"Content-Type": "application/json"})
            answer = self._http.getresponse()
            text = answer.read()
            found: dict[str, Any] = json.loads(text)
            return answer.status, found, answer.getheader("X-Trunkline-Stale") == "true"
        except (OSError, http.client.HTTPException, ValueError):
            self._http.close()
            self._http = None
            raise


class RpcUser(Client):
    """Anybody who asks the server, with every call in the history."""

    def __init__(self, name: str, around: Surroundings) -> None:
        super().__init__(name, around)
        self._connection = Connection(around.rpc_url)

    def call(self, method: str, *params: Any, **about: Any) -> Any:
        """The result. Raises RpcError, OSError, http.client.HTTPException, ValueError; what is said is noted."""
        began = now()
        try:
            result, stale = self._connection.call(method, *params)
        except RpcError as error:
            self.note("rpc", t0=began, t1=now(), method=method, error=str(error), code=error.code, **about)
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            text = f"{type(error).__name__}: {error}"[:200]
            self.note("rpc", t0=began, t1=now(), method=method, error=text, code=None, **about)
            raise
        said = self.said(method, params, result)
        self.note("rpc", t0=began, t1=now(), method=method, error="", stale=stale, **said, **about)
        return result

    def said(self, method: str, params: tuple[Any, ...], result: Any) -> dict[str, Any]:
        """What of an answer is judged later."""
        if method in _JUDGED:
            return _JUDGED[method](self, params, result)
        return {}

    def _statuses(self, params: tuple[Any, ...], result: Any) -> dict[str, Any]:
        return {"statuses": [self._status(sig, one) for sig, one in zip(params[0], result["value"], strict=True)]}

    def _balance(self, params: tuple[Any, ...], result: Any) -> dict[str, Any]:
        value = [{"key": params[0], "lamports": result["value"]}]
        return {"commitment": params[1]["commitment"], "slot": result["context"]["slot"], "values": value}

    def _accounts(self, params: tuple[Any, ...], result: Any) -> dict[str, Any]:
        values = [_account(key, one) for key, one in zip(params[0], result["value"], strict=True)]
        return {"commitment": params[1]["commitment"], "slot": result["context"]["slot"], "values": values}

    def _slot(self, params: tuple[Any, ...], result: Any) -> dict[str, Any]:
        commitment = params[0]["commitment"]
        archived = self.around.archived(result) if commitment != "processed" else None
        return {"commitment": commitment, "slot": result, "archived": archived}

    def _status(self, signature: str, one: Any) -> dict[str, Any] | None:
        if one is None:
            return None
        final = one["confirmationStatus"] != "processed"
        return {
            "sig": signature,
            "slot": one["slot"],
            "err": one["err"],
            "level": one["confirmationStatus"],
            "archived": self.around.archived(one["slot"]) if final else None,
        }


_JUDGED: dict[str, Callable[[RpcUser, tuple[Any, ...], Any], dict[str, Any]]] = {
    "getSignatureStatuses": RpcUser._statuses,
    "getBalance": RpcUser._balance,
    "getMultipleAccounts": RpcUser._accounts,
    "getSlot": RpcUser._slot,
}


class Web3Client(RpcUser):
    """Sends a few transactions, polls their statuses, sends them again, and gives up in the end."""

    pause = 0.2

    def step(self) -> None:
        found = self.call("getLatestBlockhash", {"commitment": "confirmed"})["value"]
        blockhash, last_height = Hash.from_string(found["blockhash"]), found["lastValidBlockHeight"]
        batch = [self.wallets.some(blockhash) for _ in range(self.chance.randrange(1, 4))]
        if self.chance.random() < 0.25:
            batch += self._nonce_batch()
        self._see_through({signature_of(raw): (what, raw) for what, raw in batch}, last_height)

    def _nonce_batch(self) -> list[tuple[str, bytes]]:
        key = str(self.wallets.nonce.pubkey())
        options = {"commitment": "processed", "encoding": "base64"}
        account = self.call("getAccountInfo", key, options)["value"]
        if account is None:
            return []
        data = base64.b64decode(account["data"][0])
        return [("nonce", self.wallets.with_nonce(Hash.from_bytes(data[40:72])))]

    def _see_through(self, open_: dict[str, tuple[str, bytes]], last_height: int) -> None:
        """Until all are final, gone, or given up."""
        whats = {signature: what for signature, (what, _) in open_.items()}
        began = now()
        sent_at = 0.0
        skip = self.chance.random() < 0.5
        while open_ and now() - began < _GIVE_UP:
            if now() - sent_at > _REBROADCAST:
                sent_at = now()
                self._send_all(open_, skip)
            time.sleep(_POLL)
            try:
                result = self.call("getSignatureStatuses", list(open_), {"searchTransactionHistory": True})
            except (RpcError, OSError, http.client.HTTPException, ValueError):
                continue
            for signature, one in zip(list(open_), result["value"], strict=True):
                if one is not None and one["confirmationStatus"] == "finalized":
                    del open_[signature]
            if self.around.stop.is_set():
                break
        outcome = {signature: signature not in open_ for signature in whats}
        cut = self.around.stop.is_set()
        self.note("confirm", t0=began, t1=now(), whats=whats, final=outcome, last_height=last_height, cut=cut)

    def _send_all(self, open_: dict[str, tuple[str, bytes]], skip: bool) -> None:
        for signature, (what, raw) in list(open_.items()):
            self.note("trying", sigs=[signature])
            options = {"encoding": "base64", "skipPreflight": skip, "preflightCommitment": "processed"}
            try:
                self.call("sendTransaction", base64.b64encode(raw).decode(), options, sig=signature, what=what)
            except RpcError as error:
                if error.code == -32002:
                    # As web3.js does: a failed preflight is the end of it.
                    del open_[signature]
            except (OSError, http.client.HTTPException, ValueError):
                continue


class Reader(RpcUser):
    """Reads balances and accounts at every commitment, slots, and what became of earlier transactions."""

    pause = 0.1

    def __init__(self, name: str, around: Surroundings, others: list[Client]) -> None:
        super().__init__(name, around)
        self._keys = sorted({str(key) for other in others for key in other.wallets.watched})

    def step(self) -> None:
        commitment = {"commitment": self.chance.choice(["processed", "confirmed", "finalized"])}
        try:
            match self.chance.randrange(4):
                case 0 | 1:
                    self.call("getBalance", self.chance.choice(self._keys), commitment)
                case 2:
                    keys = self.chance.sample(self._keys, min(5, len(self._keys)))
                    self.call("getMultipleAccounts", keys, {**commitment, "encoding": "base64"})
                case _:
                    self.call("getSlot", commitment)
        except (RpcError, OSError, http.client.HTTPException, ValueError):
            # It is in the history.
            return


def _account(key: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {"key": key, "lamports": 0, "digest": ""}
    data = base64.b64decode(value["data"][0])
    return {
        "key": key,
        "lamports": value["lamports"],
        "digest": hashlib.sha256(value["owner"].encode() + data).hexdigest()[:24],
    }
