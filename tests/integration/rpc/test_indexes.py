"""The secondary indexes answer what a scan of the ledger would."""

from __future__ import annotations

import asyncio
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from rpc.encoding.token_layout import TOKEN_PROGRAM
from rpc.index.accounts import AccountIndex
from rpc.index.history import History
from tests.support.rpc.node import MakeNode, Node
from tests.support.rpc.tokens import close_second, make_tokens, move_tokens

_PROCESSED = {"commitment": "processed", "encoding": "base64"}
_PARSED = {"commitment": "processed", "encoding": "jsonParsed"}


def _keys(listed: list[dict[str, str]]) -> set[str]:
    return {one["pubkey"] for one in listed}


def test_tokens_are_found_by_owner_mint_and_delegate(node: Node) -> None:
    tokens = make_tokens(node)
    both = {str(tokens.first), str(tokens.second)}
    owner = str(tokens.owner.pubkey())
    mint, program = {"mint": str(tokens.mint)}, {"programId": str(TOKEN_PROGRAM)}
    assert _keys(node.call("getTokenAccountsByOwner", owner, mint, _PROCESSED)["value"]) == both
    assert _keys(node.call("getTokenAccountsByOwner", owner, program, _PROCESSED)["value"]) == both
    delegated = node.call("getTokenAccountsByDelegate", str(tokens.delegate), mint, _PARSED)["value"]
    assert _keys(delegated) == {str(tokens.first)}
    assert delegated[0]["account"]["data"]["parsed"]["info"]["delegatedAmount"]["uiAmountString"] == "2"
    move_tokens(node, tokens, 1_500_000)
    largest = node.call("getTokenLargestAccounts", str(tokens.mint), _PROCESSED)["value"]
    assert [one["uiAmountString"] for one in largest] == ["3.5", "1.5"]
    assert node.call("getTokenSupply", str(tokens.mint), _PROCESSED)["value"]["amount"] == "5000000"


def test_a_closed_account_is_found_no_more(node: Node) -> None:
    tokens = make_tokens(node)
    close_second(node, tokens)
    owner, mint = str(tokens.owner.pubkey()), {"mint": str(tokens.mint)}
    assert _keys(node.call("getTokenAccountsByOwner", owner, mint, _PROCESSED)["value"]) == {str(tokens.first)}


def test_program_accounts_by_filters(node: Node) -> None:
    tokens = make_tokens(node)
    size = {"dataSize": 165}
    owner = {"memcmp": {"offset": 32, "bytes": str(tokens.owner.pubkey())}}
    stranger = {"memcmp": {"offset": 32, "bytes": str(Pubkey.new_unique())}}

    def find(*filters: object) -> set[str]:
        return _keys(node.call("getProgramAccounts", str(TOKEN_PROGRAM), _PROCESSED | {"filters": list(filters)}))

    assert find(size, owner) == {str(tokens.first), str(tokens.second)}
    assert find(size, stranger) == set()
    assert str(tokens.mint) in find({"dataSize": 82})
    assert node.error("getProgramAccounts", str(TOKEN_PROGRAM), {"filters": [size] * 5})["code"] == -32602


def test_a_new_server_builds_the_same_indexes(node: Node) -> None:
    tokens = make_tokens(node)
    move_tokens(node, tokens, 7)
    for _ in range(3):
        node.pay(Keypair().pubkey(), 10**9)
    node.seal()
    node.call("getProgramAccounts", str(TOKEN_PROGRAM), _PROCESSED)
    follower = node.rpc.context.indexes.follower
    seen = follower.accounts
    listed = node.call("getSignaturesForAddress", str(node.world.faucet.pubkey()))
    fresh = AccountIndex(1000)
    follower.accounts, follower.history = fresh, History(1000)
    node.rpc.context.indexes.accounts, node.rpc.context.indexes.history = fresh, follower.history
    node.run(follower._build())
    assert len(fresh) == len(seen)
    for by, value in (("program", bytes(TOKEN_PROGRAM)), ("mint", bytes(tokens.mint)), ("program", bytes(32))):
        assert set(fresh.find(by, value)) == set(seen.find(by, value))
    assert node.call("getSignaturesForAddress", str(node.world.faucet.pubkey())) == listed


def test_a_new_server_finds_older_history_in_the_archive(node: Node) -> None:
    target = Keypair().pubkey()
    for number in range(5):
        node.pay(target, 10**9 + number)
        node.pay(target, 10**8 + number)
        node.seal()
    listed = node.call("getSignaturesForAddress", str(target))
    assert len(listed) == 10
    # Redis has pruned the first blocks, the third in part.
    journal = node.world.ledger.epoch_keys.journal
    entries: Any = node.world.ledger.client.xrange(journal)
    names = [name for name, _ in entries]
    node.world.ledger.client.xdel(journal, *names[:5])
    node.run(node.rpc.context.indexes.follower._build())
    history = node.rpc.context.indexes.history
    while len(history) < 10:
        node.run(asyncio.sleep(0.01))
    assert node.call("getSignaturesForAddress", str(target)) == listed


def test_a_gap_in_the_journal_is_noticed(node: Node) -> None:
    tokens = make_tokens(node)
    owner, mint = str(tokens.owner.pubkey()), {"mint": str(tokens.mint)}
    assert len(node.call("getTokenAccountsByOwner", owner, mint, _PROCESSED)["value"]) == 2
    # While nobody follows, an account goes and the journal is trimmed behind it.
    close_second(node, tokens)
    node.world.ledger.client.delete(node.world.ledger.epoch_keys.journal)
    node.pay(Keypair().pubkey(), 10**9)
    assert _keys(node.call("getTokenAccountsByOwner", owner, mint, _PROCESSED)["value"]) == {str(tokens.first)}


def test_too_long_a_list_is_refused(make_node: MakeNode) -> None:
    node = make_node(rpc_listed_accounts=2)
    tokens = make_tokens(node)
    error = node.error("getProgramAccounts", str(TOKEN_PROGRAM), _PROCESSED)
    assert (error["code"], "More than 2" in error["message"]) == (-32602, True)
    filtered = _PROCESSED | {"filters": [{"memcmp": {"offset": 0, "bytes": str(tokens.mint)}}]}
    assert len(node.call("getProgramAccounts", str(TOKEN_PROGRAM), filtered)) == 2


def test_a_restored_ledger_is_indexed_anew_before_it_is_searched(node: Node) -> None:
    tokens = make_tokens(node)
    owner, mint = str(tokens.owner.pubkey()), {"mint": str(tokens.mint)}
    assert len(node.call("getTokenAccountsByOwner", owner, mint, _PROCESSED)["value"]) == 2
    # The next epoch holds the same accounts but for one, and has lower sequence numbers.
    client, keys = node.world.ledger.client, node.world.ledger.keys
    old, new = keys.epoch(1), keys.epoch(2)
    client.rename(old.accounts, new.accounts)
    client.rename(old.state, new.state)
    client.rename(old.versions, new.versions)
    client.rename(old.blockhashes, new.blockhashes)
    client.hdel(new.accounts, bytes(tokens.second))
    client.hset(new.state, mapping={"seq": 1, "finalized_seq": 1})
    client.hset(keys.meta, "epoch", "2")
    client.delete(old.journal)
    found = node.call("getTokenAccountsByOwner", owner, mint, _PROCESSED)["value"]
    assert _keys(found) == {str(tokens.first)}
    assert bytes(tokens.second) not in node.rpc.context.indexes.accounts.find("mint", bytes(tokens.mint))


def test_too_many_accounts_are_told_instead_of_half_an_answer(make_node: MakeNode) -> None:
    node = make_node(rpc_indexed_accounts=5)
    assert node.error("getProgramAccounts", str(TOKEN_PROGRAM), _PROCESSED)["code"] == -32010


def test_a_tail_that_redis_lost_is_not_told_although_its_numbers_were_handed_out_again(node: Node) -> None:
    client: Any = node.world.ledger.client
    node.pay(Keypair().pubkey(), 10**9)
    lost, kept = Keypair().pubkey(), Keypair().pubkey()
    before = {key: client.dump(key) for key in client.keys("*")}
    _pay_unsealed(node, lost)
    while node.rpc.context.indexes.follower.seq < node.world.ledger.state().seq:
        node.run(asyncio.sleep(0.01))
    client.delete(*client.keys("*"))
    for key, value in before.items():
        client.restore(key, 0, value)
    _pay_unsealed(node, kept)
    _pay_unsealed(node, kept, 2 * 10**9)
    node.world.seal()
    assert len(node.call("getSignaturesForAddress", str(kept))) == 2
    assert node.call("getSignaturesForAddress", str(lost)) == []


def _pay_unsealed(node: Node, target: Pubkey, lamports: int = 10**9) -> None:
    transaction = node.world.transfer(node.world.faucet, target, lamports)
    assert node.world.stage.process([transaction]).committed
