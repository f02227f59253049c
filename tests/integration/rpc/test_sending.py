"""Sending: what is checked before a transaction is accepted, and how refusals look."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import base58
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.rpc.errors import SendTransactionPreflightFailureMessage
from solders.rpc.responses import SendTransactionResp
from solders.transaction import VersionedTransaction

from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.reasons import Reason
from config.queues import TRANSACTIONS
from rpc.sending.transaction_input import unverified
from tasks.receipts import Receipt, Verdict
from tests.support.ledgers import SOL, transfer_transaction
from tests.support.rpc.node import MakeNode, Node, base64_of, signature_of

_BASE64 = {"encoding": "base64"}
_SKIP = _BASE64 | {"skipPreflight": True}


def _good(node: Node, lamports: int = SOL) -> VersionedTransaction:
    return node.transfer(node.world.faucet, Keypair().pubkey(), lamports)


def test_a_sent_transaction_is_accepted_once_its_signature_is_told(node: Node) -> None:
    transaction = _good(node)
    signature = node.call("sendTransaction", base64_of(transaction), _BASE64)
    assert signature == str(transaction.signatures[0])
    assert node.world.ledger.client.hexists(node.world.ledger.keys.intake, bytes(transaction.signatures[0]))
    assert node.drain() == 1
    (status,) = node.call("getSignatureStatuses", [signature])["value"]
    assert (status["err"], status["confirmationStatus"]) == (None, "processed")


def test_base58_is_the_default_encoding(node: Node) -> None:
    transaction = _good(node)
    text = base58.b58encode(bytes(transaction)).decode()
    assert node.call("sendTransaction", text) == str(transaction.signatures[0])


def test_a_failed_preflight_carries_the_simulation(node: Node) -> None:
    poor = Keypair()
    node.pay(poor.pubkey(), SOL)
    text = node.raw("sendTransaction", base64_of(node.transfer(poor, Keypair().pubkey(), 2 * SOL)), _BASE64)
    parsed = SendTransactionResp.from_json(text)
    assert isinstance(parsed, SendTransactionPreflightFailureMessage)
    error = json.loads(text)["error"]
    assert error["code"] == -32002
    assert error["message"] == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    )
    assert error["data"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert any("insufficient lamports" in line for line in error["data"]["logs"])
    assert node.drain() == 0


def test_an_unknown_blockhash_fails_the_preflight(node: Node) -> None:
    transaction = transfer_transaction(node.world.faucet, Keypair().pubkey(), 1, Hash.new_unique())
    error = node.error("sendTransaction", base64_of(transaction), _BASE64)
    assert (error["code"], error["message"]) == (-32002, "Transaction simulation failed: Blockhash not found")
    assert error["data"]["err"] == "BlockhashNotFound"
    # Without the preflight it is taken in, and the ledger refuses it.
    signature = node.call("sendTransaction", base64_of(transaction), _SKIP)
    node.drain()
    (status,) = node.call("getSignatureStatuses", [signature])["value"]
    assert status["err"] == "BlockhashNotFound"


def test_what_was_processed_before_is_told_by_the_preflight(node: Node) -> None:
    transaction = _good(node)
    node.commit(transaction)
    error = node.error("sendTransaction", base64_of(transaction), _BASE64)
    assert (error["code"], error["data"]["err"]) == (-32002, "AlreadyProcessed")
    assert node.call("sendTransaction", base64_of(transaction), _SKIP) == str(transaction.signatures[0])


def test_a_wrong_signature_is_refused_even_without_preflight(node: Node) -> None:
    transaction = _good(node)
    forged = VersionedTransaction.populate(transaction.message, [Keypair().sign_message(b"other")])
    error = node.error("sendTransaction", base64_of(forged), _SKIP)
    assert error == {"code": -32003, "message": "Transaction signature verification failure"}


@pytest.mark.parametrize(
    ("text", "config", "part"),
    [
        ("not base64!", _BASE64, "invalid base64 encoding"),
        ("0OIl", None, "invalid base58 encoding"),
        ("A" * 1648, _BASE64, "too large: 1648 bytes (max: encoded/raw 1644/1232)"),
        ("AAAA", _BASE64, "failed to deserialize"),
        ("AAAA", {"encoding": "jsonParsed"}, "unknown variant `jsonParsed`"),
        (7, _BASE64, "invalid type: integer `7`, expected a string"),
    ],
)
def test_malformed_transactions_are_told_apart(node: Node, text: Any, config: Any, part: str) -> None:
    error = node.error("sendTransaction", text, config)
    assert error["code"] == -32602
    assert part in error["message"]
    assert "data" not in error


def test_min_context_slot_is_honoured(node: Node) -> None:
    slot = node.call("getSlot", {"commitment": "processed"})
    wanted = _BASE64 | {"minContextSlot": slot + 10, "preflightCommitment": "processed"}
    error = node.error("sendTransaction", base64_of(_good(node)), wanted)
    assert (error["code"], error["data"]) == (-32016, {"contextSlot": slot})
    assert node.error("getBalance", str(Keypair().pubkey()), {"minContextSlot": slot + 10})["code"] == -32016


def test_concurrent_sends_share_messages(make_node: MakeNode) -> None:
    node = make_node(rpc_send_window=0.05)
    transactions = [_good(node, lamports + 1) for lamports in range(40)]

    async def all_at_once() -> None:
        bodies = [
            json.dumps(
                {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": [base64_of(one), _SKIP]}
            ).encode()
            for one in transactions
        ]
        replies = await asyncio.gather(*(node.rpc.dispatcher.answer(body, "test") for body in bodies))
        assert all(reply.body is not None and b'"result"' in reply.body for reply in replies)

    node.run(all_at_once())
    # Without grouping it would be one message for each of the forty.
    assert 1 <= node.world.ledger.client.llen(TRANSACTIONS) <= 5
    assert node.drain() == 40


def test_airdrops_are_real_transfers(node: Node) -> None:
    target = Keypair().pubkey()
    first = node.call("requestAirdrop", str(target), SOL)
    again = node.call("requestAirdrop", str(target), SOL)
    assert first != again
    node.drain()
    assert node.call("getBalance", str(target), {"commitment": "processed"})["value"] == 2 * SOL


def test_airdrops_are_limited(make_node: MakeNode) -> None:
    node = make_node(rpc_airdrop_limit=SOL, rpc_airdrops_per_minute=2)
    target = str(Keypair().pubkey())
    assert "at most 1000000000" in node.error("requestAirdrop", target, SOL + 1)["message"]
    node.call("requestAirdrop", target, SOL)
    assert "airdrops" in node.error("requestAirdrop", target, SOL)["message"]


def test_airdrops_are_off_in_prod(make_node: MakeNode) -> None:
    node = make_node(profile="prod")
    assert node.error("requestAirdrop", str(Keypair().pubkey()), 1)["code"] == -32600


def test_a_simulation_leaves_nothing_behind(node: Node) -> None:
    target = Keypair().pubkey()
    transaction = transfer_transaction(node.world.faucet, target, SOL, Hash.new_unique())
    unsigned = VersionedTransaction.populate(transaction.message, [Keypair().sign_message(b"other")])
    config = _BASE64 | {
        "replaceRecentBlockhash": True,
        "accounts": {"encoding": "base64", "addresses": [str(target)]},
        "innerInstructions": True,
    }
    value = node.call("simulateTransaction", base64_of(unsigned), config)["value"]
    assert value["err"] is None
    assert value["accounts"][0]["lamports"] == SOL
    assert value["replacementBlockhash"]["blockhash"] == str(node.blockhash())
    assert node.world.balance(target) == 0
    value = node.call("simulateTransaction", base64_of(unsigned), _BASE64 | {"sigVerify": True})["value"]
    assert value["err"] == "SignatureFailure"
    plain = node.call("simulateTransaction", base64_of(unsigned), _BASE64)["value"]
    assert plain["err"] == "BlockhashNotFound"


def test_a_full_intake_is_told_as_overload(make_node: MakeNode) -> None:
    node = make_node(intake_limit=1)
    node.call("sendTransaction", base64_of(_good(node)), _SKIP)
    body = {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": [base64_of(_good(node)), _SKIP]}
    reply = node.post(json.dumps(body).encode())
    assert reply.status == 429
    assert reply.body is not None
    assert json.loads(reply.body)["error"]["code"] == -32005


@pytest.mark.parametrize(
    ("verdict", "code", "status", "error"),
    [
        (Verdict.REJECTED, Reason.INTAKE_FULL, 429, -32005),
        (Verdict.REJECTED, Reason.ARCHIVE_BEHIND, 429, -32005),
        (Verdict.REJECTED, Reason.DEGRADED, 200, -32005),
        (Verdict.DUPLICATE, Reason.DEAD_LETTER, 200, -32602),
        (Verdict.DUPLICATE, Reason.PENDING, 200, None),
        (Verdict.DUPLICATE, Reason.PROCESSED, 200, None),
    ],
)
def test_an_answer_follows_from_the_code_not_from_the_words(
    node: Node, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, code: Reason, status: int, error: int | None
) -> None:
    async def send(_: object) -> Receipt:
        # The words of all the others at once.
        return Receipt(verdict, "s", "in the dead letters; intake is full; submit again later", code=code)

    monkeypatch.setattr(node.rpc.context.sending.sender, "send", send)
    body = {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": [base64_of(_good(node)), _SKIP]}
    reply = node.post(json.dumps(body).encode())
    assert reply.body is not None
    assert (reply.status, json.loads(reply.body).get("error", {}).get("code")) == (status, error)


def test_what_was_given_up_is_not_taken_again(node: Node) -> None:
    transaction = _good(node)
    TransactionDeadLetters(node.world.ledger).add(
        bytes(transaction.signatures[0]), bytes(transaction), "for the test", 3
    )
    assert node.error("sendTransaction", base64_of(transaction), _SKIP)["code"] == -32602


def test_full_dead_letters_refuse_new_work(make_node: MakeNode) -> None:
    node = make_node(dead_letter_limit=1)
    transaction = _good(node)
    TransactionDeadLetters(node.world.ledger).add(
        bytes(transaction.signatures[0]), bytes(transaction), "for the test", 3
    )
    error = node.error("sendTransaction", base64_of(_good(node)), _SKIP)
    assert (error["code"], "dead letters are full" in error["message"]) == (-32005, True)


def test_a_transfer_that_came_before_its_funding_lands_when_it_is_sent_again(node: Node) -> None:
    poor = Keypair()
    transaction = node.transfer(poor, Keypair().pubkey(), SOL)
    error = node.error("sendTransaction", base64_of(transaction), _BASE64)
    assert (error["code"], error["data"]["err"]) == (-32002, "AccountNotFound")
    signature = node.call("sendTransaction", base64_of(transaction), _SKIP)
    assert node.drain() == 1
    # As on Solana: what never landed has no status, is in no block and in no history.
    assert node.call("getSignatureStatuses", [signature], {"searchTransactionHistory": True})["value"] == [None]
    assert node.call("getTransactionCount", {"commitment": "processed"}) == 0
    node.pay(poor.pubkey(), 10 * SOL)
    # Its preflight does not say that it was processed.
    assert node.call("sendTransaction", base64_of(transaction), _BASE64) == signature
    assert node.drain() == 1
    (status,) = node.call("getSignatureStatuses", [signature])["value"]
    assert status["err"] is None


def test_what_was_read_for_a_simulation_is_never_executed(node: Node) -> None:
    transaction = _good(node)
    forged = VersionedTransaction.populate(transaction.message, [Keypair().sign_message(b"other")])
    report = node.world.stage.process([unverified(bytes(forged))])
    assert (len(report.invalid), report.committed) == (1, [])


def test_the_signature_of_a_payment_is_the_first(node: Node) -> None:
    transaction = node.pay(Keypair().pubkey(), 5)
    assert signature_of(transaction) == str(transaction.parsed.signatures[0])
