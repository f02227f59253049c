"""Ledger and broker behind three real Sentinels: the primary dies or is demoted under load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from banking.errors import LedgerRestoring, LedgerUnavailable
from banking.ledger import observing
from banking.ledger.ledger import Ledger
from banking.transaction import SignedTransaction
from recovery.breaker import CircuitBreaker, Override, list_breakers
from recovery.connections import connect, connect_async, fail_fast
from recovery.sentinels import primary_address
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.sentinels import Fleet, Server, running_fleet
from tests.support.waiting import wait_until
from workers.container_health import broker_problem

pytestmark = [pytest.mark.processes, pytest.mark.real_redis]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("servers") / "fleet") as fleet:
        yield fleet


def primary_of(fleet: Fleet) -> tuple[Server, Server]:
    """The primary and the copy."""
    first, second = fleet.servers
    return (first, second) if first.role() == "master" else (second, first)


def test_every_kind_of_client_follows_a_demotion(fleet: Fleet) -> None:
    """The old primary lives on as a copy, and no write goes there any more."""
    plain = connect(fleet.url)
    quick = fail_fast(plain, 0.5)
    script = plain.script_load("return redis.call('INCR', KEYS[1])")
    breaker = CircuitBreaker("any", redis=fleet.url, namespace="sentinel-test")
    for client in (plain, quick):
        assert client.evalsha(script, 1, "count")
    before, after = primary_of(fleet)
    assert primary_address(fleet.url) == ("127.0.0.1", before.port)
    assert broker_problem(fleet.url) is None
    fleet.fail_over()
    assert primary_of(fleet) == (after, before)

    def works(client: redis.Redis) -> bool:
        try:
            return bool(client.set("key", "value"))
        except redis.ConnectionError:
            return False

    for client in (plain, quick):
        wait_until(lambda client=client: works(client), "the client has found the new primary")  # type: ignore[misc]
        counted = client.eval("return redis.call('INCR', KEYS[1])", 1, "count")
        assert client.evalsha(script, 1, "count") == int(counted) + 1
    breaker.override(Override.OPEN, "test")
    with after.client() as client:
        assert int(client.get("count") or 0) == 6
        assert list_breakers(client, "sentinel-test")
    asyncio.run(answered(fleet.url))
    assert primary_address(fleet.url) == ("127.0.0.1", after.port)


async def answered(url: str) -> None:
    client = connect_async(url, timeout=2.0)
    assert int(await client.get("count") or 0) == 6
    await client.aclose()


def test_a_copy_that_is_written_to_says_so(fleet: Fleet) -> None:
    """A script that is refused inside Redis is an outage, after which the server is asked for anew."""
    _, copy = primary_of(fleet)
    login = f":{copy.password}@127.0.0.1:{copy.port}"
    with connect(f"redis://{login}/0") as client:
        ledger = Ledger(client, "none")
        with pytest.raises(LedgerUnavailable, match="READONLY"):
            ledger.call(lambda: client.eval("return redis.call('INCR', KEYS[1])", 1, "count"))
        with pytest.raises(LedgerUnavailable, match="a copy"):
            ledger.call(lambda: client.incr("count"))
        assert "a copy" in observing.server(ledger).refuses


def test_a_killed_primary_costs_at_most_what_was_not_final(fleet: Fleet, make_pipeline: MakePipeline) -> None:
    """What is final stays so; of the rest, what the copy had not got yet is gone from intake, and may be sent again."""
    primary, copy = primary_of(fleet)
    pipeline = make_pipeline(fleet.url)
    workers = pipeline.start(2)
    transactions = pipeline.transfers(3000)
    pipeline.submit(transactions[:1500])
    wait_until(lambda: finalized(pipeline, transactions), "some are final", interval=0.01)
    # The copy falls behind, so that something is lost.
    copy.pause()
    pipeline.submit(transactions[1500:])
    before = finalized(pipeline, transactions)
    primary.kill()
    copy.resume()
    wait_until(lambda: copy.role() == "master", "the copy is the primary")
    wait_until(lambda: is_taken(pipeline, transactions), "every transaction is taken in again")
    pipeline.assert_sound(transactions)
    after = finalized(pipeline, transactions)
    assert before
    assert before.items() <= after.items()
    pipeline.assert_alive(workers)

    # Back from the dead, the old primary becomes a copy before anybody writes to it.
    primary.start()
    more = pipeline.transfers(200)
    pipeline.submit(more)
    pipeline.assert_sound([*transactions, *more])
    wait_until(lambda: primary.role() == "slave", "the old primary is a copy")
    pipeline.assert_alive(workers)


def is_taken(pipeline: Pipeline, transactions: list[SignedTransaction]) -> bool:
    """Send all again, as a client does that has seen a failover; whether each is accepted, or known."""
    try:
        receipts = pipeline.submitter.submit([transaction.raw for transaction in transactions])
    except (LedgerUnavailable, LedgerRestoring):
        return False
    return {receipt.verdict for receipt in receipts} <= {"accepted", "duplicate"}


def finalized(pipeline: Pipeline, transactions: list[SignedTransaction]) -> dict[bytes, int]:
    """Signature to slot, of those whose block is in the archive."""
    newest = pipeline.blocks.newest() or 0
    signatures = [transaction.signature for transaction in transactions]
    outcomes = zip(signatures, pipeline.ledger.outcomes(signatures), strict=True)
    return {signature: outcome.slot for signature, outcome in outcomes if outcome and outcome.slot <= newest}
