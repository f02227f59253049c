"""The fields of a simulation, of a failed preflight and of a meta that follow from execution: as Agave has them."""

from __future__ import annotations

from typing import Any

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from rpc.encoding.token_layout import TOKEN_PROGRAM
from tests.support.ledgers import SOL, sign, transfer_transaction
from tests.support.rpc.node import Node, base64_of, signature_of
from tests.support.rpc.programs import associated_account, make_lookup_table
from tests.support.rpc.tokens import make_tokens, transfer_tokens

_BASE64 = {"encoding": "base64"}
_MEMBERS = {
    "err",
    "logs",
    "accounts",
    "unitsConsumed",
    "loadedAccountsDataSize",
    "returnData",
    "innerInstructions",
    "replacementBlockhash",
    "fee",
    "preBalances",
    "postBalances",
    "preTokenBalances",
    "postTokenBalances",
    "loadedAddresses",
}
_NO_ADDRESSES: dict[str, Any] = {"writable": [], "readonly": []}
# Two wallets and the System program, each with 64 bytes beside its data.
_TRANSFER_BYTES = 2 * 64 + 64 + len("system_program")


def _simulate(node: Node, transaction: VersionedTransaction, **config: Any) -> Any:
    value = node.call("simulateTransaction", base64_of(transaction), _BASE64 | config)["value"]
    assert value.keys() == _MEMBERS
    return value


def _forged(transaction: VersionedTransaction) -> VersionedTransaction:
    return VersionedTransaction.populate(transaction.message, [Keypair().sign_message(b"other")])


def test_a_simulation_tells_fee_balances_and_what_was_loaded(node: Node) -> None:
    target = Keypair().pubkey()
    node.pay(target, SOL)
    held = node.world.balance(node.world.faucet.pubkey())
    value = _simulate(node, node.transfer(node.world.faucet, target, SOL))
    assert (value["err"], value["fee"], value["unitsConsumed"]) == (None, 5000, 150)
    assert value["preBalances"] == [held, SOL, 1]
    assert value["postBalances"] == [held - SOL - 5000, 2 * SOL, 1]
    assert (value["preTokenBalances"], value["postTokenBalances"]) == ([], [])
    assert value["loadedAddresses"] == _NO_ADDRESSES
    assert value["loadedAccountsDataSize"] == _TRANSFER_BYTES


def test_a_failed_simulation_has_paid_its_fee_and_nothing_else(node: Node) -> None:
    poor = Keypair()
    node.pay(poor.pubkey(), SOL)
    value = _simulate(node, node.transfer(poor, Keypair().pubkey(), 2 * SOL))
    assert value["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert (value["fee"], value["preBalances"], value["postBalances"]) == (5000, [SOL, 0, 1], [SOL - 5000, 0, 1])
    # The new account does not exist, and counts nothing.
    assert value["loadedAccountsDataSize"] == _TRANSFER_BYTES - 64


def test_who_could_not_be_charged_has_no_fee(node: Node) -> None:
    value = _simulate(node, node.transfer(Keypair(), Keypair().pubkey(), 1))
    assert (value["err"], value["fee"], value["loadedAccountsDataSize"]) == ("AccountNotFound", None, 0)
    assert (value["logs"], value["preBalances"], value["postBalances"]) == ([], [0, 0, 1], [0, 0, 1])
    unknown = transfer_transaction(node.world.faucet, Keypair().pubkey(), 1, Hash.new_unique())
    value = _simulate(node, unknown)
    assert (value["err"], value["fee"], len(value["preBalances"])) == ("BlockhashNotFound", None, 3)


def test_a_missing_program_costs_the_fee_alone(node: Node) -> None:
    call = Instruction(Pubkey.new_unique(), b"", [])
    value = _simulate(node, sign([call], [node.world.faucet], node.blockhash()))
    assert (value["err"], value["fee"], value["loadedAccountsDataSize"]) == ("ProgramAccountNotFound", 5000, 0)
    assert value["postBalances"][0] == value["preBalances"][0] - 5000


def test_token_balances_of_a_simulation(node: Node) -> None:
    tokens = make_tokens(node)
    value = _simulate(node, transfer_tokens(node, tokens, 1_500_000))
    sides = (value["preTokenBalances"], value["postTokenBalances"])
    amounts = [sorted(int(one["uiTokenAmount"]["amount"]) for one in side) for side in sides]
    assert amounts == [[0, 5_000_000], [1_500_000, 3_500_000]]
    (full,) = (one for one in value["preTokenBalances"] if one["uiTokenAmount"]["amount"] == "5000000")
    assert full == {
        "accountIndex": full["accountIndex"],
        "mint": str(tokens.mint),
        "owner": str(tokens.owner.pubkey()),
        "programId": str(TOKEN_PROGRAM),
        "uiTokenAmount": {"amount": "5000000", "decimals": 6, "uiAmount": 5.0, "uiAmountString": "5"},
    }
    # The program's code counts with it.
    program = node.call("getAccountInfo", str(TOKEN_PROGRAM), _BASE64 | {"commitment": "processed"})["value"]
    assert value["loadedAccountsDataSize"] > program["space"] + 2 * 165


def test_loaded_addresses_of_a_simulation(node: Node) -> None:
    addresses = [Pubkey.new_unique(), Pubkey.new_unique()]
    table, target = make_lookup_table(node, addresses), addresses[0]
    node.pay(target, SOL)
    faucet = node.world.faucet
    message = MessageV0.try_compile(
        faucet.pubkey(),
        [transfer(TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=target, lamports=5))],
        [AddressLookupTableAccount(table, addresses)],
        node.blockhash(),
    )
    value = _simulate(node, VersionedTransaction(message, [faucet]))
    assert (value["err"], value["loadedAddresses"]) == (None, {"writable": [str(target)], "readonly": []})
    assert value["preBalances"][2] == SOL
    assert value["loadedAccountsDataSize"] == _TRANSFER_BYTES + 8248


def test_a_failed_preflight_has_all_members_and_the_fee(node: Node) -> None:
    poor = Keypair()
    node.pay(poor.pubkey(), SOL)
    error = node.error("sendTransaction", base64_of(node.transfer(poor, Keypair().pubkey(), 2 * SOL)), _BASE64)
    data = error["data"]
    assert data.keys() == _MEMBERS
    assert (data["fee"], data["unitsConsumed"], data["loadedAccountsDataSize"]) == (5000, 150, _TRANSFER_BYTES - 64)
    for name in ("preBalances", "postBalances", "preTokenBalances", "postTokenBalances", "loadedAddresses"):
        assert data[name] is None


def test_a_wrong_signature_fails_the_preflight_as_a_simulation(node: Node) -> None:
    forged = _forged(node.transfer(node.world.faucet, Keypair().pubkey(), 1))
    error = node.error("sendTransaction", base64_of(forged), _BASE64)
    words = "Transaction simulation failed: Transaction did not pass signature verification"
    assert (error["code"], error["message"]) == (-32002, words)
    assert error["data"].keys() == _MEMBERS
    expected = {"err": "SignatureFailure", "logs": [], "unitsConsumed": 0, "loadedAccountsDataSize": 0, "fee": None}
    assert {name: error["data"][name] for name in expected} == expected
    assert node.drain() == 0


def test_a_wrong_signature_is_the_outcome_of_a_simulation_that_verifies(node: Node) -> None:
    forged = _forged(node.transfer(node.world.faucet, Keypair().pubkey(), SOL))
    value = _simulate(node, forged, sigVerify=True)
    assert (value["err"], value["logs"], value["unitsConsumed"]) == ("SignatureFailure", [], 0)
    assert (value["fee"], value["preBalances"], value["loadedAddresses"]) == (None, None, _NO_ADDRESSES)
    assert _simulate(node, forged)["err"] is None


def test_inner_instructions_of_a_simulation_are_parsed(node: Node) -> None:
    mint = make_tokens(node).mint
    value = _simulate(node, associated_account(node, node.world.faucet, mint), innerInstructions=True)
    assert value["err"] is None
    inner = value["innerInstructions"][0]
    assert inner["index"] == 0
    assert inner["instructions"][-1]["program"] == "spl-token"
    assert inner["instructions"][-1]["parsed"]["type"] == "initializeAccount3"


@pytest.mark.parametrize("encoding", ["json", "jsonParsed", "base64"])
def test_a_meta_has_its_cost(node: Node, encoding: str) -> None:
    signature = signature_of(node.pay(Keypair().pubkey(), SOL))
    node.seal()
    config = {"encoding": encoding, "commitment": "confirmed"}
    meta = node.call("getTransaction", signature, config)["meta"]
    # A signature 720, two write locks of 300, 12 bytes of data, 150 units, and one page of accounts.
    assert (meta["computeUnitsConsumed"], meta["costUnits"]) == (150, 720 + 2 * 300 + 12 // 4 + 150 + 8)


def test_the_version_is_one_that_has_these_fields(node: Node) -> None:
    version = node.call("getVersion")
    assert version["solana-core"].startswith("4.1.")
    assert node.call("getBalance", str(Keypair().pubkey()))["context"]["apiVersion"] == version["solana-core"]
    (contact,) = node.call("getClusterNodes")
    assert (contact["version"], contact["clientId"]) == (version["solana-core"], "Trunkline")
