"""The methods that only a sandbox has, by Surfpool's names: what they set is a client's and the oracle's truth."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer

from banking.admin.warp import warp
from banking.blocks.sealer import Sealer
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.transaction import VerifiedTransaction
from rpc.encoding.token_layout import NATIVE_MINT, TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from tasks.submission import Submitter
from tests.support.ledgers import SOL, sign
from tests.support.oracle import instructions as make
from tests.support.oracle.opinions import assert_agrees
from tests.support.programs import MEMO
from tests.support.rpc.node import MakeNode, Node, base64_of

PROCESSED = {"commitment": "processed"}
METHODS = ("surfnet_setAccount", "surfnet_setTokenAccount", "surfnet_timeTravel", "surfnet_profileTransaction")


@pytest.fixture
def sandbox(make_node: MakeNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A sandbox that processes what intake takes at once; in the end the oracle agrees with all that happened."""
    node = make_node(sandbox=True)
    stages: list[BankingStage] = []

    def process(_: Submitter, transactions: Sequence[VerifiedTransaction], __: object) -> None:
        # A VM belongs to its thread, which is that of the sender.
        if not stages:
            stages.append(BankingStage(node.world.ledger, SvmExecutor()))
        stages[0].process(transactions)

    monkeypatch.setattr(Submitter, "_enqueue", process)
    yield node
    node.seal()
    assert_agrees(node.world.blocks)


def make_mint(node: Node, program: Pubkey) -> Pubkey:
    faucet, mint = node.world.faucet, Keypair()
    params = CreateAccountParams(
        from_pubkey=faucet.pubkey(), to_pubkey=mint.pubkey(), lamports=SOL, space=82, owner=program
    )
    steps = [create_account(params), make.initialize_mint(program, mint.pubkey(), faucet.pubkey())]
    node.commit(sign(steps, [faucet, mint], node.blockhash()))
    return mint.pubkey()


def account(node: Node, key: Pubkey, encoding: str = "base64") -> Any:
    return node.call("getAccountInfo", str(key), PROCESSED | {"encoding": encoding})["value"]


def test_an_account_is_set_and_updated(sandbox: Node) -> None:
    key, owner = Keypair().pubkey(), Keypair().pubkey()
    update = {"lamports": 3 * SOL, "data": b"by hand".hex(), "owner": str(owner)}
    answer = sandbox.call("surfnet_setAccount", str(key), update)
    assert answer["value"] is None
    assert answer["context"]["slot"] == sandbox.world.ledger.state().slot
    found = account(sandbox, key)
    assert (found["lamports"], found["owner"], found["space"]) == (3 * SOL, str(owner), 7)
    large = bytes(range(256)) * 8
    sandbox.call("surfnet_setAccount", str(key), {"data": large.hex()})
    found = account(sandbox, key)
    assert (found["lamports"], found["owner"]) == (3 * SOL, str(owner))
    assert base64.b64decode(found["data"][0]) == large
    sandbox.call("surfnet_setAccount", str(key), {"lamports": 0})
    assert account(sandbox, key) is None


def test_what_was_set_can_be_spent(sandbox: Node) -> None:
    rich, target = Keypair(), Keypair().pubkey()
    sandbox.call("surfnet_setAccount", str(rich.pubkey()), {"lamports": 50 * SOL})
    transaction = sandbox.transfer(rich, target, 20 * SOL)
    sandbox.call("sendTransaction", base64_of(transaction), {"encoding": "base64", "preflightCommitment": "processed"})
    assert account(sandbox, target)["lamports"] == 20 * SOL
    assert account(sandbox, rich.pubkey())["lamports"] == 30 * SOL - 5000


@pytest.mark.parametrize("program", [TOKEN_PROGRAM, TOKEN_2022_PROGRAM])
def test_a_token_account_is_set_and_its_tokens_are_spent(sandbox: Node, program: Pubkey) -> None:
    mint = make_mint(sandbox, program)
    owner, other = Keypair(), Keypair()
    sandbox.pay(owner.pubkey(), SOL)
    for holder in (owner, other):
        sandbox.call("surfnet_setTokenAccount", str(holder.pubkey()), str(mint), {"amount": 500})
    own, target = (make.token_address(program, mint, holder.pubkey()) for holder in (owner, other))
    info = account(sandbox, own, "jsonParsed")["data"]["parsed"]["info"]
    assert (info["owner"], info["mint"], info["state"]) == (str(owner.pubkey()), str(mint), "initialized")
    assert info["tokenAmount"]["amount"] == "500"
    move = make.move_tokens(program, own, target, owner.pubkey(), 200)
    sandbox.commit(sign([move], [owner], sandbox.blockhash()))
    assert account(sandbox, target, "jsonParsed")["data"]["parsed"]["info"]["tokenAmount"]["amount"] == "700"
    frozen = {"state": "frozen", "delegate": str(other.pubkey()), "delegatedAmount": 9}
    sandbox.call("surfnet_setTokenAccount", str(owner.pubkey()), str(mint), frozen, str(program))
    info = account(sandbox, own, "jsonParsed")["data"]["parsed"]["info"]
    assert (info["state"], info["delegate"], info["tokenAmount"]["amount"]) == ("frozen", str(other.pubkey()), "300")
    sandbox.call("surfnet_setTokenAccount", str(owner.pubkey()), str(mint), {"delegate": "null"})
    assert "delegate" not in account(sandbox, own, "jsonParsed")["data"]["parsed"]["info"]


def test_wrapped_sol_is_lamports(sandbox: Node) -> None:
    owner = Keypair().pubkey()
    sandbox.call("surfnet_setTokenAccount", str(owner), str(NATIVE_MINT), {"amount": 2 * SOL})
    found = account(sandbox, make.token_address(TOKEN_PROGRAM, NATIVE_MINT, owner), "jsonParsed")
    assert found["lamports"] == 2 * SOL + 2_039_280
    assert found["data"]["parsed"]["info"]["isNative"] is True


def test_time_travel_opens_a_later_slot(make_node: MakeNode) -> None:
    nodes: list[Node] = []

    def travel(slot: int) -> None:
        world = nodes[0].world
        warp(world.ledger, Sealer(world.ledger, world.blocks), slot)

    node = make_node(sandbox=True, warp=travel)
    nodes.append(node)
    info = node.call("surfnet_timeTravel", {"absoluteSlot": 40})
    assert (info["absoluteSlot"], info["epoch"], info["slotsInEpoch"]) == (40, 0, 432_000)
    assert node.call("getSlot", PROCESSED) == 40
    assert "forwards only" in node.error("surfnet_timeTravel", {"absoluteSlot": 7})["message"]
    assert "too many" in node.error("surfnet_timeTravel", {"absoluteEpoch": 1})["message"]
    assert "in slots" in node.error("surfnet_timeTravel", {"absoluteTimestamp": 4_000_000_000})["message"]
    assert_agrees(node.world.blocks)


def test_a_profile_has_the_units_of_each_instruction(sandbox: Node) -> None:
    faucet = sandbox.world.faucet
    memo = Instruction(MEMO, b"words", [AccountMeta(faucet.pubkey(), True, False)])
    pay = transfer(TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=Keypair().pubkey(), lamports=10**18))
    signed = sign([memo, pay], [faucet], sandbox.blockhash())
    value = sandbox.call("surfnet_profileTransaction", base64_of(signed), "a tag")["value"]
    first, second = value["instructionProfiles"]
    assert value["transactionProfile"]["computeUnitsConsumed"] == first["computeUnitsConsumed"] + 150
    assert first["errorMessage"] is None
    assert second["errorMessage"] == value["transactionProfile"]["errorMessage"]
    assert "custom program error: 0x1" in second["errorMessage"]
    assert first["logMessages"] + second["logMessages"] == value["transactionProfile"]["logMessages"]
    assert sandbox.world.ledger.state().processed == 0


def test_mistakes_are_told(sandbox: Node) -> None:
    faucet, nobody = str(sandbox.world.faucet.pubkey()), str(Keypair().pubkey())
    assert "InvalidArgument" in sandbox.error("surfnet_setAccount", faucet, {"lamports": 1})["message"]
    assert "hex" in sandbox.error("surfnet_setAccount", nobody, {"data": "xyz"})["message"]
    assert "too many to set by hand" in sandbox.error("surfnet_setAccount", nobody, {"data": "00" * 300_000})["message"]
    assert "no mint" in sandbox.error("surfnet_setTokenAccount", nobody, nobody, {"amount": 1})["message"]


def test_the_genesis_decides_who_sets_accounts(node: Node) -> None:
    refused = node.error("surfnet_setAccount", str(Keypair().pubkey()), {"lamports": SOL})
    assert "its genesis does not allow it" in refused["message"]


@pytest.mark.parametrize("method", METHODS)
def test_production_has_none_of_it(make_node: MakeNode, method: str) -> None:
    node = make_node(sandbox=True, profile="prod")
    before = node.world.ledger.state()
    refused = node.error(method, str(Keypair().pubkey()), {"lamports": SOL})
    assert refused["message"] == f"The profile is prod: {method} is for sandboxes only"
    assert node.world.ledger.state() == before
