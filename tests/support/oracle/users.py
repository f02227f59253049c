"""What users see of the programs they deploy and call."""

from __future__ import annotations

from solders.pubkey import Pubkey

from tests.support.oracle import instructions as make
from tests.support.oracle import program_doings
from tests.support.oracle.doings import Batch
from tests.support.oracle.town import Town


def errors(town: Town, batch: Batch, stage: int = 0) -> list[str | None]:
    """What each came to, in blocks or refused before it."""
    found = town.run(batch, stage)
    refused = town.world.ledger.refusals([transaction.signature for transaction in batch])
    assert all(bool(outcome) != bool(refusal) for outcome, refusal in zip(found, refused, strict=True))
    return [outcome.err if outcome else refusal for outcome, refusal in zip(found, refused, strict=True)]


def deploy(town: Town, code: bytes, stage: int = 0) -> Pubkey:
    """A program with this code, deployed by one stage."""
    program = town.new_key()
    assert errors(town, program_doings.deploy_code(town, code, program), stage) == [None] * 4
    return program.pubkey()


def tell(town: Town, program: Pubkey, stage: int) -> str | None:
    """What a call of the program logs first, or its error."""
    town.serial += 1
    payer = town.people[1]
    call = make.call(program, town.serial.to_bytes(4, "little"), (payer.pubkey(), "s"))
    outcome = town.one(town.sign([call], [payer]), stage)
    return outcome.err or outcome.logs[1]
