"""The way of one transaction, wherever it is: waiting, refused, failed on chain, final, old, never seen."""

from __future__ import annotations

from collections.abc import Iterator

import base58
import fakeredis
import pytest
import redis
from solders.keypair import Keypair

from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Intake
from banking.transaction import SignedTransaction
from recovery.archive import ArchiveUnavailable
from tests.support.ledgers import SOL, World, new_world
from workers.overview.trace import Message, NoSignature, Trace, Tracer, batch_entries


@pytest.fixture
def world() -> Iterator[World]:
    client: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
    yield new_world(client, programs=False)
    client.close()


def name(transaction: SignedTransaction) -> str:
    return base58.b58encode(transaction.signature).decode()


def traced(world: World, transaction: SignedTransaction) -> Trace:
    return Tracer(world.ledger, lambda: world.blocks).trace(name(transaction))


def states(found: Trace) -> dict[str, str]:
    return {step.name: step.state for step in found.steps}


def test_it_waits_then_is_processed_then_final(world: World) -> None:
    sent = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    Intake(world.ledger).accept([(sent.signature, sent.raw)])
    waits = traced(world, sent)
    assert waits.verdict == "waits"
    assert states(waits) == {"accepted": "done", "message": "now", "processed": "unknown"}
    world.stage.process([sent])
    done = traced(world, sent)
    assert done.verdict == "succeeded, not final yet"
    assert states(done)["block"] == "now"
    world.seal()
    final = traced(world, sent)
    assert final.verdict == "succeeded, final"
    assert [step.name for step in final.steps] == ["accepted", "message", "worker", "processed", "block", "finalized"]
    assert world.blocks.name(1) in final.steps[4].text


def test_what_failed_on_chain_says_so(world: World) -> None:
    sent = world.transfer(world.faucet, Keypair().pubkey(), 10**18)
    world.stage.process([sent])
    found = traced(world, sent)
    assert found.verdict == "failed on chain, not final yet"
    [processed] = [step for step in found.steps if step.name == "processed"]
    assert processed.state == "failed"
    assert "InstructionError.Custom" in processed.text
    assert any("insufficient" in line for line in found.logs)


def test_a_refusal_and_a_dead_letter(world: World) -> None:
    poor = world.transfer(Keypair(), Keypair().pubkey(), SOL)
    world.stage.process([poor])
    assert traced(world, poor).verdict == "refused without a fee"
    killer = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    Intake(world.ledger).accept([(killer.signature, killer.raw)])
    TransactionDeadLetters(world.ledger).add(killer.signature, killer.raw, "worker died 3 times", 3)
    given_up = traced(world, killer)
    assert given_up.verdict == "given up: a dead letter"
    assert "worker died 3 times" in given_up.steps[-1].text


def test_one_that_redis_has_forgotten_is_found_in_the_archive(world: World) -> None:
    sent = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    world.stage.process([sent])
    world.seal()
    world.seal()
    world.ledger.client.delete(world.ledger.epoch_keys.status)
    assert traced(world, sent).verdict == "succeeded, final"
    never = world.transfer(world.faucet, Keypair().pubkey(), 2 * SOL)
    unknown = traced(world, never)
    assert unknown.verdict == "unknown"
    assert "in no block from 0 to 2" in unknown.steps[-1].text


def test_without_the_archive_the_ledger_still_answers(world: World) -> None:
    def away() -> None:
        raise ArchiveUnavailable("no disk")

    sent = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    world.stage.process([sent])
    world.seal()
    found = Tracer(world.ledger, away).trace(name(sent))  # type: ignore[arg-type]
    assert found.verdict == "succeeded, final"
    assert states(found)["block"] == "unknown"


def test_what_flower_saw_is_part_of_it(world: World) -> None:
    sent = world.transfer(world.faucet, Keypair().pubkey(), SOL)
    world.stage.process([sent])
    seen = Message("task-1", "tx1@host", 10.0, 11.0, 12.0)
    tracer = Tracer(world.ledger, lambda: world.blocks, find_message=lambda slot, seq: seen if slot == 1 else None)
    found = tracer.trace(name(sent))
    assert [(step.name, step.at) for step in found.steps[:4]] == [
        ("accepted", 10.0),
        ("message", 11.0),
        ("worker", 12.0),
        ("processed", 12.0),
    ]
    assert found.steps[1].task == "task-1"


@pytest.mark.parametrize("text", ["", "abc", "0OIl", "1" * 200])
def test_what_is_no_signature_is_said(world: World, text: str) -> None:
    with pytest.raises(NoSignature, match="no signature"):
        Tracer(world.ledger, lambda: world.blocks).trace(text)


def test_the_outcomes_of_a_batch_come_from_the_journal_and_then_from_the_archive(world: World) -> None:
    sent = [world.transfer(world.faucet, Keypair().pubkey(), SOL + number) for number in range(3)]
    report = world.stage.process(sent)
    [place] = report.places
    for _ in range(2):
        found = batch_entries(world.ledger, lambda: world.blocks, place.slot, place.first + 1, place.last)
        assert [entry.signature for entry in found] == [one.signature for one in sent[1:]]
        world.seal()
        world.ledger.client.delete(world.ledger.epoch_keys.journal)
