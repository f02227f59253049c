"""Subscriptions: what is told, at which commitment, and what happens to clients that do not behave."""

from __future__ import annotations

import base64
import json
import threading
import time

import pytest
from solders.keypair import Keypair
from solders.rpc.responses import (
    AccountNotification,
    LogsNotification,
    RootNotification,
    SignatureNotification,
    SlotNotification,
    SlotUpdateNotification,
    parse_websocket_message,
)
from websockets.exceptions import ConnectionClosed

from banking.transaction import verify
from tests.support.ledgers import SOL, transfer_transaction
from tests.support.rpc.served import MakeServed, Served, Subscriber
from tests.support.waiting import wait_until

_PROCESSED = {"commitment": "processed", "encoding": "base64"}
_FINALIZED = {"commitment": "finalized", "encoding": "base64"}


def _pay(served: Served, target: Keypair, lamports: int = SOL) -> str:
    transaction = served.world.transfer(served.world.faucet, target.pubkey(), lamports)
    served.world.stage.process([transaction])
    return str(transaction.parsed.signatures[0])


def test_an_account_is_told_at_its_commitment(served: Served) -> None:
    target = Keypair()
    with Subscriber(served.ws_url) as early, Subscriber(served.ws_url) as late:
        early_id = early.call("accountSubscribe", str(target.pubkey()), _PROCESSED)
        late_id = late.call("accountSubscribe", str(target.pubkey()), _FINALIZED)
        assert early_id != late_id
        _pay(served, target)
        told = early.notification()
        assert told["subscription"] == early_id
        assert told["result"]["value"]["lamports"] == SOL
        assert late.silent()
        served.world.seal()
        told = late.notification()
        assert (told["subscription"], told["result"]["context"]["slot"]) == (late_id, 1)
        assert told["result"]["value"]["lamports"] == SOL
        assert early.call("accountUnsubscribe", early_id) is True
        _pay(served, target)
        assert early.silent()
        assert early.ask("accountUnsubscribe", early_id)["error"]["code"] == -32602


def test_a_program_is_told_through_its_filters(served: Served) -> None:
    target, system = Keypair(), "11111111111111111111111111111111"
    with Subscriber(served.ws_url) as wide, Subscriber(served.ws_url) as narrow:
        wide.call("programSubscribe", system, _PROCESSED)
        narrow.call("programSubscribe", system, _PROCESSED | {"filters": [{"dataSize": 80}]})
        _pay(served, target)
        told = {wide.notification()["result"]["value"]["pubkey"] for _ in range(2)}
        assert told == {str(target.pubkey()), str(served.world.faucet.pubkey())}
        assert narrow.silent()


def test_logs_of_all_or_of_those_that_mention_an_address(served: Served) -> None:
    target, other = Keypair(), Keypair()
    with Subscriber(served.ws_url) as everything, Subscriber(served.ws_url) as mentions:
        everything.call("logsSubscribe", "all", _PROCESSED)
        mentions.call("logsSubscribe", {"mentions": [str(target.pubkey())]}, _PROCESSED)
        signatures = [_pay(served, other), _pay(served, target)]
        told = [everything.notification()["result"]["value"] for _ in range(2)]
        assert [one["signature"] for one in told] == signatures
        assert told[0]["logs"][0] == "Program 11111111111111111111111111111111 invoke [1]"
        assert mentions.notification()["result"]["value"]["signature"] == signatures[1]
        assert mentions.silent()


def test_a_signature_is_told_once_and_ends_the_subscription(served: Served) -> None:
    with Subscriber(served.ws_url) as client:
        transaction = served.world.transfer(served.world.faucet, Keypair().pubkey(), SOL)
        signature = str(transaction.parsed.signatures[0])
        number = client.call("signatureSubscribe", signature, _FINALIZED | {"enableReceivedNotification": True})
        raw = base64.b64encode(transaction.raw).decode()
        client.call("sendTransaction", raw, {"encoding": "base64"})
        assert client.notification()["result"]["value"] == "receivedSignature"
        served.world.stage.process([transaction])
        assert client.silent()
        served.world.seal()
        told = client.notification()
        assert (told["subscription"], told["result"]["value"]) == (number, {"err": None})
        assert client.ask("signatureUnsubscribe", number)["error"]["code"] == -32602
        # Who comes late is told at once.
        client.call("signatureSubscribe", signature, _FINALIZED)
        assert client.notification()["result"]["value"] == {"err": None}


def test_slots_roots_and_updates_follow_the_chain(served: Served) -> None:
    with Subscriber(served.ws_url) as slots, Subscriber(served.ws_url) as roots, Subscriber(served.ws_url) as updates:
        slots.call("slotSubscribe")
        roots.call("rootSubscribe")
        updates.call("slotsUpdatesSubscribe")
        _pay(served, Keypair())
        served.world.seal()
        told = slots.notification()["result"]
        # The block of slot 1 may still be on its way into the archive.
        assert (told["parent"], told["slot"], told["root"] in (0, 1)) == (1, 2, True)
        assert roots.notification()["result"] == 1
        events = [updates.notification()["result"] for _ in range(5)]
        kinds = [(one["type"], one["slot"]) for one in events]
        assert kinds == [
            ("completed", 1),
            ("frozen", 1),
            ("createdBank", 2),
            ("optimisticConfirmation", 1),
            ("root", 1),
        ]
        assert events[1]["stats"]["numSuccessfulTransactions"] == 1


def test_blocks_are_told_when_they_are_final(served: Served) -> None:
    target = Keypair()
    with Subscriber(served.ws_url) as client:
        shape = {"maxSupportedTransactionVersion": 0, "transactionDetails": "signatures"}
        client.call("blockSubscribe", {"mentionsAccountOrProgram": str(target.pubkey())}, shape)
        _pay(served, Keypair())
        signature = _pay(served, target)
        served.world.seal()
        value = client.notification()["result"]["value"]
        assert (value["slot"], value["block"]["signatures"]) == (1, [signature])


def test_notifications_parse_with_solders(served: Served) -> None:
    target = Keypair()
    with Subscriber(served.ws_url) as client:
        client.call("accountSubscribe", str(target.pubkey()), _PROCESSED)
        client.call("logsSubscribe", "all", _PROCESSED)
        client.call("slotSubscribe")
        client.call("rootSubscribe")
        client.call("slotsUpdatesSubscribe")
        signature = _pay(served, target)
        client.call("signatureSubscribe", signature, _PROCESSED)
        served.world.seal()
        expected = {
            AccountNotification,
            LogsNotification,
            SlotNotification,
            RootNotification,
            SlotUpdateNotification,
            SignatureNotification,
        }
        kept = client._notifications
        while expected:
            text = json.dumps(kept.pop(0)) if kept else client.socket.recv(10)
            assert isinstance(text, str)
            (parsed,) = parse_websocket_message(text)
            expected.discard(type(parsed))


def test_a_ping_without_an_id_is_ignored(served: Served) -> None:
    with Subscriber(served.ws_url) as client:
        client.socket.send(json.dumps({"jsonrpc": "2.0", "method": "ping"}))
        client.socket.send(json.dumps({"jsonrpc": "2.0", "method": "ping", "params": None}))
        assert client.call("getVersion")
        client.socket.send("not json")
        assert client.receive()["error"]["code"] == -32700
        assert client.ask("voteSubscribe")["error"]["code"] == -32601
        assert client.ask("accountSubscribe", "nonsense")["error"]["code"] == -32602


def test_subscriptions_and_connections_are_limited(make_served: MakeServed) -> None:
    served = make_served(rpc_subscriptions=2, rpc_connections=1)
    with Subscriber(served.ws_url) as client:
        client.call("slotSubscribe")
        client.call("rootSubscribe")
        assert client.ask("slotSubscribe")["error"]["code"] == -32005
        with pytest.raises(Exception, match=r"403|closed|1008"):
            Subscriber(served.ws_url).receive(2)
    wait_until(lambda: not served.rpc.dispatcher.limits._open, "the server has seen the end of the first")
    with Subscriber(served.ws_url) as again:
        assert again.call("getVersion")


def test_a_client_that_does_not_read_is_cut_off_and_the_others_are_served(make_served: MakeServed) -> None:
    served = make_served(rpc_write_limit=20_000)
    senders = served.world.fund(8)
    with Subscriber(served.ws_url) as slow, Subscriber(served.ws_url) as good:
        good.call("logsSubscribe", "all", _PROCESSED)
        first = served.world.transfer(senders[0], Keypair().pubkey(), 10**6)
        served.world.stage.process([first])
        while good.notification()["result"]["value"]["signature"] != str(first.parsed.signatures[0]):
            pass  # The transfers that funded the senders: nothing of them is on its way any more after this.
        # It takes nothing off its socket, so the buffers fill up, and then what waits in the server does.
        for _ in range(200):
            slow.call("logsSubscribe", "all", _PROCESSED)
        told, deadline = 1, time.monotonic() + 60
        while len(served.rpc.hub.table) > 1:
            assert time.monotonic() < deadline, "the slow client is still served"
            transactions = [served.world.transfer(sender, Keypair().pubkey(), 10**6 + told) for sender in senders]
            served.world.stage.process(transactions)
            for _ in transactions:
                assert good.notification()["result"]["value"]["err"] is None
                told += 1
        assert good.call("getVersion")


def test_a_hundred_subscribers_get_every_notification_once(served: Served) -> None:
    target = Keypair()
    clients = [Subscriber(served.ws_url) for _ in range(100)]
    try:
        numbers = [client.call("accountSubscribe", str(target.pubkey()), _PROCESSED) for client in clients]
        assert len(set(numbers)) == 100
        _pay(served, target)
        for client, number in zip(clients, numbers, strict=True):
            assert client.notification()["subscription"] == number
        assert clients[0].silent(0.1)
    finally:
        for client in clients:
            client.close()
    with pytest.raises(ConnectionClosed):
        clients[0].receive()


def test_a_failure_is_final_by_the_answer_and_its_notification_follows(served: Served) -> None:
    poor = Keypair()
    _pay(served, poor)
    transaction = transfer_transaction(poor, Keypair().pubkey(), 10**15, served.world.blockhash())
    served.world.stage.process([verify(bytes(transaction))])
    signature = str(transaction.signatures[0])
    sealing = threading.Timer(0.1, served.world.seal)
    with Subscriber(served.ws_url) as client:
        sealing.start()
        client.call("signatureSubscribe", signature, {"commitment": "confirmed"})
        # web3.js asks now, and would throw what it finds by itself; but the notification is on its way already.
        assert served.rpc.context.ledger.chain.tip is not None
        assert served.rpc.context.ledger.chain.tip.finalized == 1
        err = client.notification()["result"]["value"]["err"]
    assert err == {"InstructionError": [0, {"Custom": 1}]}
    sealing.join()
