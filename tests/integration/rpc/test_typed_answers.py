"""Every method answers what solders' typed responses can read."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import solders.rpc.responses as typed
from solders.keypair import Keypair
from solders.rpc.errors import BlockNotAvailableMessage

from rpc.encoding.token_layout import TOKEN_PROGRAM
from rpc.jsonrpc.registry import METHODS
from rpc.ledger_access.performance import Sample
from tests.support.rpc.node import Node, base64_of, signature_of
from tests.support.rpc.tokens import Tokens, make_tokens, move_tokens

Ask = Callable[["Scene"], tuple[Any, ...]]
_PROCESSED = {"commitment": "processed"}
_PARSED = {"encoding": "jsonParsed", "commitment": "confirmed"}
_BASE64 = {"encoding": "base64", "commitment": "confirmed"}
_V0 = {"maxSupportedTransactionVersion": 0, "commitment": "confirmed"}


class Scene:
    """A ledger with payments and tokens, all of it finalized."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.tokens: Tokens = make_tokens(node)
        self.target = Keypair().pubkey()
        self.transaction = node.pay(self.target, 10**7)
        self.moved = move_tokens(node, self.tokens, 1_500_000)
        self.signature = signature_of(self.transaction)
        node.seal(3)
        node.rpc.context.node.performance.samples.append(Sample(10, 9, 8, 60))
        self.raw = base64_of(node.transfer(node.world.faucet, self.target, 1))


@pytest.fixture
def scene(node: Node) -> Scene:
    return Scene(node)


def _key(scene: Scene) -> str:
    return str(scene.target)


CASES: list[tuple[str, Any, Ask]] = [
    ("getAccountInfo", typed.GetAccountInfoResp, lambda s: (_key(s), _BASE64)),
    ("getAccountInfo", typed.GetAccountInfoResp, lambda s: (_key(s), {"encoding": "base58"})),
    ("getAccountInfo", typed.GetAccountInfoResp, lambda s: (_key(s), {"encoding": "base64+zstd"})),
    ("getAccountInfo", typed.GetAccountInfoMaybeJsonParsedResp, lambda s: (_key(s), _PARSED)),
    ("getAccountInfo", typed.GetAccountInfoJsonParsedResp, lambda s: (str(s.tokens.first), _PARSED)),
    ("getAccountInfo", typed.GetAccountInfoJsonParsedResp, lambda s: (str(s.tokens.mint), _PARSED)),
    ("getBalance", typed.GetBalanceResp, lambda s: (_key(s),)),
    ("getBlock", typed.GetBlockResp, lambda s: (1, _V0)),
    ("getBlock", typed.GetBlockResp, lambda s: (1, _V0 | {"encoding": "jsonParsed"})),
    ("getBlock", typed.GetBlockResp, lambda s: (1, _V0 | {"encoding": "base64"})),
    ("getBlock", typed.GetBlockResp, lambda s: (1, _V0 | {"transactionDetails": "accounts"})),
    ("getBlock", typed.GetBlockResp, lambda s: (1, _V0 | {"transactionDetails": "signatures"})),
    ("getBlock", typed.GetBlockResp, lambda s: (0, _V0)),
    ("getBlockCommitment", typed.GetBlockCommitmentResp, lambda s: (1,)),
    ("getBlockHeight", typed.GetBlockHeightResp, lambda s: ()),
    ("getBlockProduction", typed.GetBlockProductionResp, lambda s: ()),
    ("getBlockTime", typed.GetBlockTimeResp, lambda s: (1,)),
    ("getBlocks", typed.GetBlocksResp, lambda s: (1, 3)),
    ("getBlocksWithLimit", typed.GetBlocksWithLimitResp, lambda s: (1, 2)),
    ("getClusterNodes", typed.GetClusterNodesResp, lambda s: ()),
    ("getEpochInfo", typed.GetEpochInfoResp, lambda s: ()),
    ("getEpochSchedule", typed.GetEpochScheduleResp, lambda s: ()),
    ("getFeeForMessage", typed.GetFeeForMessageResp, lambda s: (_message(s),)),
    ("getFirstAvailableBlock", typed.GetFirstAvailableBlockResp, lambda s: ()),
    ("getGenesisHash", typed.GetGenesisHashResp, lambda s: ()),
    ("getHealth", typed.GetHealthResp, lambda s: ()),
    ("getIdentity", typed.GetIdentityResp, lambda s: ()),
    ("getInflationGovernor", typed.GetInflationGovernorResp, lambda s: ()),
    ("getInflationRate", typed.GetInflationRateResp, lambda s: ()),
    ("getLargestAccounts", typed.GetLargestAccountsResp, lambda s: ()),
    ("getLatestBlockhash", typed.GetLatestBlockhashResp, lambda s: ()),
    ("getLeaderSchedule", typed.GetLeaderScheduleResp, lambda s: (None,)),
    ("getMaxRetransmitSlot", typed.GetMaxRetransmitSlotResp, lambda s: ()),
    ("getMaxShredInsertSlot", typed.GetMaxShredInsertSlotResp, lambda s: ()),
    ("getMinimumBalanceForRentExemption", typed.GetMinimumBalanceForRentExemptionResp, lambda s: (165,)),
    ("getMultipleAccounts", typed.GetMultipleAccountsResp, lambda s: ([_key(s), str(Keypair().pubkey())],)),
    ("getMultipleAccounts", typed.GetMultipleAccountsMaybeJsonParsedResp, lambda s: ([_key(s)], _PARSED)),
    ("getProgramAccounts", typed.GetProgramAccountsResp, lambda s: (str(TOKEN_PROGRAM), _BASE64)),
    ("getProgramAccounts", typed.GetProgramAccountsJsonParsedResp, lambda s: (str(TOKEN_PROGRAM), _PARSED)),
    (
        "getProgramAccounts",
        typed.GetProgramAccountsWithContextResp,
        lambda s: (str(TOKEN_PROGRAM), _BASE64 | {"withContext": True}),
    ),
    ("getRecentPerformanceSamples", typed.GetRecentPerformanceSamplesResp, lambda s: (4,)),
    ("getRecentPrioritizationFees", typed.GetRecentPrioritizationFeesResp, lambda s: ()),
    ("getSignatureStatuses", typed.GetSignatureStatusesResp, lambda s: ([s.signature, _unknown()],)),
    ("getSignaturesForAddress", typed.GetSignaturesForAddressResp, lambda s: (_key(s),)),
    ("getSlot", typed.GetSlotResp, lambda s: ()),
    ("getSlotLeader", typed.GetSlotLeaderResp, lambda s: ()),
    ("getSlotLeaders", typed.GetSlotLeadersResp, lambda s: (1, 3)),
    ("getStakeMinimumDelegation", typed.GetStakeMinimumDelegationResp, lambda s: ()),
    ("getSupply", typed.GetSupplyResp, lambda s: ()),
    ("getTokenAccountBalance", typed.GetTokenAccountBalanceResp, lambda s: (str(s.tokens.first),)),
    (
        "getTokenAccountsByDelegate",
        typed.GetTokenAccountsByDelegateResp,
        lambda s: (str(s.tokens.delegate), {"mint": str(s.tokens.mint)}, _BASE64),
    ),
    (
        "getTokenAccountsByOwner",
        typed.GetTokenAccountsByOwnerJsonParsedResp,
        lambda s: (str(s.tokens.owner.pubkey()), {"programId": str(TOKEN_PROGRAM)}, _PARSED),
    ),
    ("getTokenLargestAccounts", typed.GetTokenLargestAccountsResp, lambda s: (str(s.tokens.mint),)),
    ("getTokenSupply", typed.GetTokenSupplyResp, lambda s: (str(s.tokens.mint),)),
    ("getTransaction", typed.GetTransactionResp, lambda s: (s.moved, _V0)),
    ("getTransaction", typed.GetTransactionResp, lambda s: (s.moved, _V0 | {"encoding": "jsonParsed"})),
    ("getTransactionCount", typed.GetTransactionCountResp, lambda s: ()),
    ("getVersion", typed.GetVersionResp, lambda s: ()),
    ("getVoteAccounts", typed.GetVoteAccountsResp, lambda s: ()),
    ("isBlockhashValid", typed.IsBlockhashValidResp, lambda s: (str(s.node.blockhash()),)),
    ("minimumLedgerSlot", typed.MinimumLedgerSlotResp, lambda s: ()),
    ("requestAirdrop", typed.RequestAirdropResp, lambda s: (_key(s), 5)),
    ("sendTransaction", typed.SendTransactionResp, lambda s: (s.raw, {"encoding": "base64"})),
    ("simulateTransaction", typed.SimulateTransactionResp, lambda s: (s.raw, {"encoding": "base64"})),
]


def _message(scene: Scene) -> str:
    transaction = scene.node.transfer(scene.node.world.faucet, scene.target, 1)
    return base64.b64encode(bytes(transaction.message)).decode()


def _unknown() -> str:
    return str(Keypair().sign_message(b"nobody sent this"))


def test_each_method_parses_with_solders(scene: Scene) -> None:
    for name, response, ask in CASES:
        text = scene.node.raw(name, *ask(scene))
        assert '"error"' not in text[:40], (name, text)
        try:
            parsed = response.from_json(text)
        except Exception as error:  # noqa: BLE001 - say which method it was
            pytest.fail(f"{name}: {error}: {text[:2000]}")
        assert isinstance(parsed, response), (name, text, parsed)


#: solders has no types for them either; test_removed_methods.py looks at them.
REMOVED_FROM_AGAVE = {"getConfirmedSignaturesForAddress2", "getFeeCalculatorForBlockhash", "getStakeActivation"}


def test_the_table_has_every_method() -> None:
    # No snapshot exists here, and no epoch is over: these answer errors, as Agave does then.
    solanas = {name for name in METHODS if not name.startswith("surfnet_")} - REMOVED_FROM_AGAVE
    assert {name for name, *_ in CASES} | {"getHighestSnapshotSlot", "getInflationReward"} == solanas


def test_rewards_of_an_epoch_that_is_not_over_parse_as_the_error_they_are(scene: Scene) -> None:
    text = scene.node.raw("getInflationReward", [_key(scene)])
    assert isinstance(typed.GetInflationRewardResp.from_json(text), BlockNotAvailableMessage)


def test_u64_stays_an_integer(scene: Scene) -> None:
    key = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
    epoch = scene.node.call("getAccountInfo", key, {"encoding": "base64"})["value"]["rentEpoch"]
    assert isinstance(epoch, int)
    record = scene.node.world.ledger.account(bytes(scene.target))
    full = record[:8] + (2**64 - 1).to_bytes(8, "little") + record[16:]
    scene.node.world.ledger.client.hset(scene.node.world.ledger.epoch_keys.accounts, bytes(scene.target), full)
    text = scene.node.raw("getAccountInfo", str(scene.target), {"encoding": "base64"})
    assert '"rentEpoch":18446744073709551615' in text


def test_what_is_not_there_is_null(node: Node) -> None:
    assert node.call("getAccountInfo", str(Keypair().pubkey()))["value"] is None
    assert node.call("getBalance", str(Keypair().pubkey()))["value"] == 0
    assert node.call("getTransaction", _unknown()) is None
    assert node.call("getSignatureStatuses", [_unknown()])["value"] == [None]


def test_an_unknown_method_is_told_by_agaves_code(node: Node) -> None:
    assert node.error("getAsset") == {"code": -32601, "message": "Method not found"}


def test_a_batch_is_answered_in_its_order(node: Node) -> None:
    calls = [
        {"jsonrpc": "2.0", "id": "a", "method": "getVersion"},
        {"jsonrpc": "2.0", "method": "getSlot"},
        {"jsonrpc": "2.0", "id": 3, "method": "nonsense"},
    ]
    body = node.post(json.dumps(calls).encode()).body
    assert body is not None
    answers = json.loads(body)
    assert [one["id"] for one in answers] == ["a", 3]
    assert answers[1]["error"]["code"] == -32601
