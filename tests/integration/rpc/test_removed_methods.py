"""What Agave has removed and web3.js v1 still asks for."""

from __future__ import annotations

import pytest
from solders.keypair import Keypair

from banking.admin.vote_account import operator_vote_account, operator_vote_address
from tests.support.ledgers import SOL
from tests.support.rpc.node import MakeNode, Node, signature_of
from tests.support.rpc.stakes import delegated_stake

_PROCESSED = {"commitment": "processed"}


def test_stake_that_was_delegated_now_is_activating(make_node: MakeNode) -> None:
    operator, stake = Keypair().pubkey(), Keypair()
    node = make_node(accounts=operator_vote_account(operator))
    node.commit(delegated_stake(node, stake, operator_vote_address(operator)))
    found = node.call("getStakeActivation", str(stake.pubkey()), _PROCESSED)
    assert found == {"state": "activating", "active": 0, "inactive": 2 * SOL}
    error = node.error("getStakeActivation", str(stake.pubkey()), _PROCESSED | {"epoch": 4000})
    assert error["message"] == "Invalid param: epoch 4000. Only the current epoch (0) is supported"


@pytest.mark.parametrize(("key", "words"), [("faucet", "not a stake account"), ("nobody", "account not found")])
def test_what_is_no_stake_is_told(node: Node, key: str, words: str) -> None:
    address = node.world.faucet.pubkey() if key == "faucet" else Keypair().pubkey()
    assert words in node.error("getStakeActivation", str(address), _PROCESSED)["message"]


def test_a_blockhash_has_a_fee_as_long_as_it_is_valid(node: Node) -> None:
    blockhash = str(node.blockhash())
    assert node.call("getFeeCalculatorForBlockhash", blockhash)["value"] == {
        "feeCalculator": {"lamportsPerSignature": 5000}
    }
    assert node.call("getFeeCalculatorForBlockhash", "1" * 32)["value"] is None


def test_signatures_are_listed_by_the_former_name(node: Node) -> None:
    target = Keypair().pubkey()
    signature = signature_of(node.pay(target, SOL))
    node.seal()
    for name in ("getConfirmedSignaturesForAddress2", "getSignaturesForAddress"):
        assert [one["signature"] for one in node.call(name, str(target))] == [signature]


@pytest.mark.parametrize("name", ["recent", "single", "singleGossip", "root", "max"])
def test_commitments_have_their_former_names_too(node: Node, name: str) -> None:
    address = str(node.world.faucet.pubkey())
    former = node.call("getBalance", address, {"commitment": name})
    assert former["value"] == node.call("getBalance", address)["value"]
