"""Vote accounts, and the stake that is delegated to them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from solders.pubkey import Pubkey

from banking.admin.vote_account import VOTE_PROGRAM, operator_vote_address
from banking.ledger.records import unpack_account
from rpc.encoding.account_parsers.stake import parse_stake
from rpc.encoding.account_parsers.vote import parse_vote
from rpc.encoding.instruction import Unparsable
from rpc.jsonrpc.params import U64_MAX, Commitment, to_pubkey
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_search import find_accounts
from rpc.methods.account_view import read_at
from rpc.methods.status import SLOTS_IN_EPOCH

_STAKE_PROGRAM = Pubkey.from_string("Stake11111111111111111111111111111111111111")
#: Slots behind the newest one after which a voter counts as delinquent.
_DELINQUENT_SLOTS = 128
#: Epochs whose credits are told.
_MAX_CREDITS = 5
_LOCKED_SLOTS = 31


@method("getVoteAccounts", timeout=30.0)
async def get_vote_accounts(call: Call) -> Any:
    config = call.params.config(0)
    wanted, keep = config.text("votePubkey"), config.flag("keepUnstakedDelinquents")
    address = None if wanted is None else bytes(to_pubkey(wanted))
    distance = config.uint("delinquentSlotDistance", _DELINQUENT_SLOTS)
    assert distance is not None
    slot, _ = await read_at(call, config)
    commitment = config.commitment()
    stakes = await _active_stakes(call, slot // SLOTS_IN_EPOCH, commitment)
    current, delinquent = [], []
    async for page in find_accounts(call, "program", bytes(VOTE_PROGRAM), commitment):
        for key, record in zip(page.keys, page.records, strict=True):
            if address is not None and key != address:
                continue
            voter = _voter(key, unpack_account(record).data, stakes, slot)
            if voter is None:
                continue
            if voter["lastVote"] >= max(0, slot - distance):
                current.append(voter)
            elif voter["activatedStake"] or keep:
                delinquent.append(voter)
    return {"current": current, "delinquent": delinquent}


def _voter(key: bytes, data: bytes, stakes: Counter[str], slot: int) -> dict[str, Any] | None:
    try:
        state = parse_vote(key, data)["info"]
    except Unparsable:
        return None
    last, root = state["votes"][-1]["slot"] if state["votes"] else 0, state["rootSlot"] or 0
    node = Pubkey.from_string(state["nodePubkey"])
    if operator_vote_address(node) == Pubkey(key):
        # The operator's word for a slot is its block in the archive, not a transaction.
        last, root = slot, max(0, slot - _LOCKED_SLOTS)
    credits = state["epochCredits"][-_MAX_CREDITS:]
    address = str(Pubkey(key))
    return {
        "votePubkey": address,
        "nodePubkey": str(node),
        "activatedStake": stakes[address],
        "commission": state["commission"],
        "inflationRewardsCommissionBps": state["inflationRewardsCommissionBps"],
        "epochVoteAccount": True,
        "epochCredits": [[one["epoch"], int(one["credits"]), int(one["previousCredits"])] for one in credits],
        "lastVote": last,
        "rootSlot": root,
    }


async def _active_stakes(call: Call, epoch: int, commitment: Commitment) -> Counter[str]:
    """Lamports by vote account that are active in `epoch`."""
    stakes: Counter[str] = Counter()
    async for page in find_accounts(call, "program", bytes(_STAKE_PROGRAM), commitment):
        for record in page.records:
            _, delegation = delegation_of(record)
            if delegation is not None and is_active(delegation, epoch):
                stakes[delegation["voter"]] += int(delegation["stake"])
    return stakes


def delegation_of(record: bytes) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Meta and delegation of a stake account, as they are shown; None for what it has not."""
    account = unpack_account(record)
    try:
        parsed = parse_stake(b"", account.data) if account.owner == bytes(_STAKE_PROGRAM) else {}
    except Unparsable:
        return None, None
    info = parsed.get("info") or {}
    return info.get("meta"), (info.get("stake") or {}).get("delegation")


def is_active(delegation: dict[str, Any], epoch: int) -> bool:
    """Whether delegated stake is active in `epoch`: without a history of stake, all of it from the next one on."""
    since, until = int(delegation["activationEpoch"]), int(delegation["deactivationEpoch"])
    return (since == U64_MAX or since < epoch) and epoch <= until
