"""The operator's vote account, and stake that is delegated to it by the real stake program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.admin.vote_account import operator_vote_account, operator_vote_address
from banking.ledger.ledger import Ledger
from config.settings import Settings
from recovery.connections import connect
from tests.support.ledgers import SOL
from tests.support.rpc.node import MakeNode, Node
from tests.support.rpc.stakes import delegated_stake
from workers.faucet import initialise

_STAKE = Pubkey.from_string("Stake11111111111111111111111111111111111111")
_PROCESSED = {"commitment": "processed", "encoding": "jsonParsed"}


def _parsed(node: Node, key: Pubkey) -> Any:
    return node.call("getAccountInfo", str(key), _PROCESSED)["value"]["data"]["parsed"]


def test_stake_is_delegated_to_the_operator(make_node: MakeNode) -> None:
    operator = Keypair().pubkey()
    node = make_node(accounts=operator_vote_account(operator))
    voter, stake = operator_vote_address(operator), Keypair()
    shown = _parsed(node, voter)
    assert (shown["type"], shown["info"]["nodePubkey"], shown["info"]["commission"]) == ("vote", str(operator), 0)
    assert shown["info"]["authorizedVoters"] == [{"epoch": 0, "authorizedVoter": str(operator)}]
    node.commit(delegated_stake(node, stake, voter))
    delegation = _parsed(node, stake.pubkey())["info"]["stake"]["delegation"]
    assert (delegation["voter"], delegation["stake"]) == (str(voter), str(2 * SOL))
    node.seal(3)
    (one,) = node.call("getVoteAccounts")["current"]
    # It becomes active with the next epoch; the operator's word for a slot is its block in the archive.
    assert one == {
        "votePubkey": str(voter),
        "nodePubkey": str(operator),
        "activatedStake": 0,
        "commission": 0,
        "inflationRewardsCommissionBps": 0,
        "epochVoteAccount": True,
        "epochCredits": [],
        "lastVote": node.call("getSlot"),
        "rootSlot": 0,
    }
    assert node.call("getVoteAccounts", {"votePubkey": str(voter)})["current"] == [one]
    nobody = {"votePubkey": str(Keypair().pubkey())}
    assert node.call("getVoteAccounts", nobody) == {"current": [], "delinquent": []}


def test_other_voters_are_told_by_what_their_accounts_hold(make_node: MakeNode) -> None:
    operator, node_key = Keypair().pubkey(), Keypair().pubkey()
    ((_, record),) = operator_vote_account(node_key).items()
    elsewhere = Keypair().pubkey()
    node = make_node(accounts={bytes(elsewhere): record, **operator_vote_account(operator)})
    node.seal(2)
    # It never voted, but is not late yet.
    assert [one["lastVote"] for one in node.call("getVoteAccounts", {"votePubkey": str(elsewhere)})["current"]] == [0]
    late = {"votePubkey": str(elsewhere), "delinquentSlotDistance": 1, "keepUnstakedDelinquents": True}
    (found,) = node.call("getVoteAccounts", late)["delinquent"]
    assert (found["lastVote"], found["nodePubkey"]) == (0, str(node_key))
    assert node.call("getVoteAccounts", late | {"keepUnstakedDelinquents": False})["delinquent"] == []
    assert len(node.call("getVoteAccounts")["current"]) == 2


def test_a_new_ledger_has_the_vote_account_of_its_identity(redis_url: str, tmp_path: Path) -> None:
    settings = Settings.from_variables(data_dir=tmp_path, redis_url=redis_url)
    initialise(settings, redis_url)
    identity = Keypair.from_json((tmp_path / "identity.json").read_text()).pubkey()
    with connect(redis_url) as client:
        record = Ledger(client, settings.ledger.name).account(bytes(operator_vote_address(identity)))
    assert {bytes(operator_vote_address(identity)): record} == operator_vote_account(identity)
