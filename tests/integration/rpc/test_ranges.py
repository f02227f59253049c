"""What is out of range, in Agave's words; and figures that come from the ledger instead of being constants."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_price
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from rpc.encoding.token_layout import TOKEN_PROGRAM
from rpc.ledger_access.rent import exempt, shown
from tests.support.ledgers import SOL, sign
from tests.support.rpc.node import Node
from tests.support.rpc.tokens import make_tokens

_FAR = 2**63 - 1
_U64_MAX = 2**64 - 1


def test_schedules_beyond_the_next_epoch_are_not_known(node: Node) -> None:
    assert node.call("getLeaderSchedule", _FAR) is None
    identity = node.call("getIdentity")["identity"]
    # That of the next epoch is known already.
    assert list(node.call("getLeaderSchedule", 432_000 + 5)) == [identity]
    assert node.call("getLeaderSchedule", 2 * 432_000) is None
    error = node.error("getSlotLeaders", _FAR, 3)
    words = "Invalid slot range: leader schedule for epoch 21350398233460 is unavailable"
    assert (error["code"], error["message"]) == (-32602, words)
    # The range begins well and ends too far.
    assert node.call("getSlotLeaders", 2 * 432_000 - 2, 2) == [identity] * 2
    assert "epoch 2 is" in node.error("getSlotLeaders", 2 * 432_000 - 2, 3)["message"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getSlotLeader", ()),
        ("getInflationReward", ([],)),
        ("getTokenAccountsByOwner", ("owner", {"programId": str(TOKEN_PROGRAM)})),
        ("getTokenAccountsByDelegate", ("delegate", {"programId": str(TOKEN_PROGRAM)})),
        ("getProgramAccounts", (str(TOKEN_PROGRAM),)),
        ("getSlot", ()),
    ],
)
def test_min_context_slot_is_checked_before_anything_is_encoded(node: Node, method: str, params: Any) -> None:
    tokens = make_tokens(node)
    named = {"owner": str(tokens.owner.pubkey()), "delegate": str(tokens.delegate)}
    values = [named.get(value, value) if isinstance(value, str) else value for value in params]
    error = node.error(method, *values, {"minContextSlot": _FAR})
    assert error["code"] == -32016
    assert error["data"].keys() == {"contextSlot"}


def test_rewards_of_epochs_that_are_not_over_are_not_available(node: Node) -> None:
    error = node.error("getInflationReward", [], {"epoch": _FAR})
    assert (error["code"], error["message"].startswith("Block not available for slot ")) == (-32004, True)
    assert node.error("getInflationReward", [str(Keypair().pubkey())], {"epoch": 0})["code"] == -32004


def test_a_block_production_range_is_checked_from_both_ends(node: Node) -> None:
    node.seal(3)
    slot = node.call("getSlot")
    message = node.error("getBlockProduction", {"range": {"firstSlot": 0, "lastSlot": _FAR}})["message"]
    assert message == f"lastSlot, {_FAR}, is too large; max {slot}"
    message = node.error("getBlockProduction", {"range": {"firstSlot": 3, "lastSlot": 2}})["message"]
    assert message == "lastSlot, 2, cannot be less than firstSlot, 3"
    assert node.call("getBlockProduction", {"range": {"firstSlot": 1, "lastSlot": 2}})["value"]["range"] == {
        "firstSlot": 1,
        "lastSlot": 2,
    }


@pytest.mark.parametrize("method", ["getTokenAccountBalance", "getTokenSupply", "getTokenLargestAccounts"])
def test_a_commitment_object_without_commitment_is_told(node: Node, method: str) -> None:
    error = node.error(method, str(Keypair().pubkey()), {})
    assert (error["code"], error["message"]) == (-32602, "Invalid params: missing field `commitment`.")
    assert "could not find account" in node.error(method, str(Keypair().pubkey()))["message"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("someInvalidMessage", "InvalidPadding"),
        ("AA*A", "InvalidByte(2, 42)"),
        ("AAAAA", "InvalidLength(5)"),
        ("AAAAAB==", "InvalidLastSymbol(5, 66)"),
    ],
)
def test_bad_base64_is_told_as_by_agaves_decoder(node: Node, text: str, words: str) -> None:
    error = node.error("getFeeForMessage", text)
    assert (error["code"], error["message"]) == (-32602, f"invalid base64 encoding: {words}")


def test_prioritization_fees_are_those_of_recent_blocks(node: Node) -> None:
    faucet, target = node.world.faucet, Keypair().pubkey()
    pay = transfer(TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=target, lamports=SOL))

    def fees(*accounts: Pubkey) -> list[int]:
        return [one["prioritizationFee"] for one in node.call("getRecentPrioritizationFees", *_listed(accounts))]

    assert set(fees()) <= {0}
    # In slot 1 all pay, in slot 2 somebody pays nothing, and slot 3 is empty.
    for price in (700, 300):
        node.commit(sign([set_compute_unit_price(price), pay], [faucet], node.blockhash()))
    node.seal()
    other = node.world.fund(1)[0]
    node.commit(sign([set_compute_unit_price(900), pay], [faucet], node.blockhash()))
    node.seal()
    node.seal()
    snapshot = node.run(node.rpc.context.ledger.reader.read())
    assert node.run(node.rpc.context.indexes.follower.wait_for(snapshot, 5))
    assert fees() == [300, 0, 0]
    # The most that one of the accounts needs; `target` is written by those who pay only.
    assert fees(target) == [300, 900, 0]
    assert fees(other.pubkey()) == [300, 0, 0]
    assert fees(Keypair().pubkey(), target) == [300, 900, 0]


def _listed(accounts: tuple[Pubkey, ...]) -> list[list[str]]:
    return [[str(account) for account in accounts]] if accounts else []


def test_accounts_that_transactions_wrote_are_exempt_from_rent_for_ever(node: Node) -> None:
    target = Keypair().pubkey()
    node.pay(target, SOL)
    config = {"encoding": "base64", "commitment": "processed"}
    assert node.call("getAccountInfo", str(target), config)["value"]["rentEpoch"] == _U64_MAX
    # What nobody has written since the genesis is as it was put there.
    record = node.world.ledger.account(bytes(target))
    assert (shown(record, None), shown(record, b"1:e1")) == (record, record)
    assert shown(record, b"2") == exempt(record) != record
    transaction = node.transfer(node.world.faucet, Keypair().pubkey(), SOL)
    wanted = {"encoding": "base64", "addresses": [str(key) for key in transaction.message.account_keys[:2]]}
    raw = base64.b64encode(bytes(transaction)).decode()
    value = node.call("simulateTransaction", raw, config | {"accounts": wanted})["value"]
    assert [account["rentEpoch"] for account in value["accounts"]] == [_U64_MAX] * 2


def test_zstd_frames_are_as_agaves_stream_writes_them(node: Node) -> None:
    tokens = make_tokens(node)
    config = {"encoding": "base64+zstd", "commitment": "processed"}
    text, _ = node.call("getAccountInfo", str(tokens.mint), config)["value"]["data"]
    # No content size, and the window of level 3.
    assert base64.b64decode(text)[:6] == b"\x28\xb5\x2f\xfd\x00\x58"


def test_a_message_without_its_fee_payer_is_not_decoded(node: Node) -> None:
    message = Message.new_with_blockhash([], node.world.faucet.pubkey(), node.blockhash())
    raw = base64.b64encode(bytes(message)[:-1]).decode()
    assert "failed to deserialize" in node.error("getFeeForMessage", raw)["message"]
