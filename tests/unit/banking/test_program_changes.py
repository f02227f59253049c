"""Programs are deployed, upgraded and closed: every process runs the code that the ledger holds, and no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import fakeredis
import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.execution.batch import BatchReport
from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome
from banking.transaction import verify
from tests.support import programs
from tests.support.ledgers import SOL, World, new_world, sign

OLD, NEW = b"Old code: ", b"New code: "
NOT_DEPLOYED = '{"InstructionError":[0,"UnsupportedProgramId"]}'
NOT_FOUND = '"ProgramAccountNotFound"'


class Shop:
    """A ledger, an authority over programs, and stages of several processes."""

    def __init__(self) -> None:
        self.world: World = new_world(fakeredis.FakeRedis(version=(6, 2)))
        (self.owner,) = self.world.fund(1, 100 * SOL)
        self.mine = self.stage()
        self.other = self.stage()

    def stage(self, **options: Any) -> BankingStage:
        return BankingStage(Ledger(self.world.ledger.client, self.world.ledger.keys.name), SvmExecutor(), **options)

    def send(
        self, stage: BankingStage, instructions: Sequence[Instruction], *signers: Keypair
    ) -> tuple[BatchReport, Outcome | None]:
        transaction = verify(bytes(sign(instructions, [self.owner, *signers], self.world.blockhash())))
        report = stage.process([transaction])
        return report, self.world.ledger.outcomes([transaction.signature])[0]

    def run(self, stage: BankingStage, instructions: Sequence[Instruction], *signers: Keypair) -> Outcome:
        _, outcome = self.send(stage, instructions, *signers)
        assert outcome is not None
        return outcome

    def buffer(self, word: bytes) -> Pubkey:
        buffer = Keypair()
        groups = programs.buffer_instructions(self.owner.pubkey(), buffer.pubkey(), programs.elf(word))
        for number, group in enumerate(groups):
            assert self.run(self.mine, group, *([] if number else [buffer])).err is None
        return buffer.pubkey()

    def deploying(self, word: bytes = OLD) -> tuple[Keypair, list[Instruction]]:
        program = Keypair()
        most = len(programs.elf())
        buffer = self.buffer(word)
        return program, programs.deploy_instructions(self.owner.pubkey(), program.pubkey(), buffer, most)

    def deployed(self) -> Pubkey:
        program, instructions = self.deploying()
        assert self.run(self.mine, instructions, program).err is None
        # A program cannot be upgraded or closed in the slot that it was deployed in.
        self.world.seal()
        return program.pubkey()

    def upgrade(self, program: Pubkey) -> Instruction:
        return programs.upgrade_instruction(self.owner.pubkey(), program, self.buffer(NEW))

    def close(self, program: Pubkey) -> Instruction:
        return programs.close_instruction(self.owner.pubkey(), program)

    def calls(self, stage: BankingStage, program: Pubkey) -> str:
        """The word that the program's code logs, or the error."""
        outcome = self.run(stage, [programs.call(program, self.owner.pubkey())])
        words = {line.removeprefix("Program log: ")[:10] for line in outcome.logs} & {OLD.decode(), NEW.decode()}
        return outcome.err or words.pop()

    def simulates(self, stage: BankingStage, instruction: Instruction) -> str:
        transaction = verify(bytes(sign([instruction], [self.owner], self.world.blockhash())))
        result = stage.simulate(transaction).result
        words = {line.removeprefix("Program log: ")[:10] for line in result.logs} & {OLD.decode(), NEW.decode()}
        return result.err or (words.pop() if words else "ok")

    def lose(self, stage: BankingStage, instructions: Sequence[Instruction], *signers: Keypair) -> None:
        """Let `stage` execute, while another changes an account under it before it can commit."""
        ledger, original = stage.ledger, stage.ledger.commit

        def commit(*args: Any, **more: Any) -> Any:
            assert self.run(self.other, [programs.call(programs.MEMO, self.owner.pubkey())]).err is None
            return original(*args, **more)

        ledger.commit = commit  # type: ignore[method-assign]
        report, outcome = self.send(stage, instructions, *signers)
        ledger.commit = original  # type: ignore[method-assign]
        assert (len(report.conflicts), outcome) == (1, None)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_upgrade_reaches_every_process(shop: Shop) -> None:
    program = shop.deployed()
    assert [shop.calls(stage, program) for stage in (shop.mine, shop.other)] == [OLD.decode()] * 2
    assert shop.run(shop.mine, [shop.upgrade(program)]).err is None
    assert [shop.calls(stage, program) for stage in (shop.other, shop.mine, shop.stage())] == [NEW.decode()] * 3


def test_upgrade_and_call_in_one_batch(shop: Shop) -> None:
    program = shop.deployed()
    assert shop.calls(shop.mine, program) == OLD.decode()
    batch = [
        verify(bytes(sign([instruction], [shop.owner], shop.world.blockhash())))
        for instruction in (shop.upgrade(program), programs.call(program, shop.owner.pubkey()))
    ]
    shop.mine.process(batch)
    upgraded, called = shop.world.ledger.outcomes([transaction.signature for transaction in batch])
    assert upgraded is not None
    assert upgraded.err is None
    assert called is not None
    assert any(NEW.decode() in line for line in called.logs)


def test_closed_program_runs_nowhere(shop: Shop) -> None:
    """Whatever the order of the accounts in the message, and also where the close was executed."""
    for _ in range(4):
        program = shop.deployed()
        assert [shop.calls(stage, program) for stage in (shop.mine, shop.other)] == [OLD.decode()] * 2
        assert shop.run(shop.mine, [shop.close(program)]).err is None
        assert [shop.calls(stage, program) for stage in (shop.mine, shop.other, shop.stage())] == [NOT_DEPLOYED] * 3
        assert shop.simulates(shop.other, programs.call(program, shop.owner.pubkey())) == NOT_DEPLOYED


@pytest.mark.parametrize("change", [Shop.upgrade, Shop.close])
def test_change_that_was_not_committed_leaves_no_code(
    shop: Shop, change: Callable[[Shop, Pubkey], Instruction]
) -> None:
    program, loser = shop.deployed(), shop.stage(conflict_rounds=1)
    assert shop.calls(loser, program) == OLD.decode()
    shop.lose(loser, [change(shop, program)])
    assert shop.calls(loser, program) == OLD.decode()


def test_deploy_that_was_not_committed_leaves_no_code(shop: Shop) -> None:
    program, instructions = shop.deploying()
    loser = shop.stage(conflict_rounds=1)
    shop.lose(loser, instructions, program)
    called = [shop.calls(stage, program.pubkey()) for stage in (loser, shop.stage())]
    assert called == [NOT_FOUND] * 2
    # It can be deployed after all, with other code.
    most = len(programs.elf())
    again = programs.deploy_instructions(shop.owner.pubkey(), program.pubkey(), shop.buffer(NEW), most)
    assert shop.run(shop.other, again, program).err is None
    assert [shop.calls(stage, program.pubkey()) for stage in (loser, shop.other)] == [NEW.decode()] * 2


def test_simulation_leaves_no_code_and_sees_every_change(shop: Shop) -> None:
    program, simulator = shop.deployed(), shop.stage()
    call = programs.call(program, shop.owner.pubkey())
    upgrade = shop.upgrade(program)
    assert shop.simulates(simulator, call) == OLD.decode()
    assert shop.simulates(simulator, upgrade) == "ok"
    assert shop.simulates(simulator, shop.close(program)) == "ok"
    assert shop.simulates(simulator, call) == OLD.decode()
    assert shop.run(shop.mine, [upgrade]).err is None
    assert shop.simulates(simulator, call) == NEW.decode()
    assert shop.run(shop.mine, [shop.close(program)]).err is not None, "it was upgraded in this slot"
    shop.world.seal()
    assert shop.run(shop.mine, [shop.close(program)]).err is None
    assert shop.simulates(simulator, call) == NOT_DEPLOYED


def test_ledger_without_the_usual_programs_has_none() -> None:
    """What LiteSVM brings along is not there unless the genesis has it."""
    world = new_world(fakeredis.FakeRedis(version=(6, 2)), programs=False)
    transaction = verify(
        bytes(sign([programs.call(programs.MEMO, world.faucet.pubkey())], [world.faucet], world.blockhash()))
    )
    world.stage.process([transaction])
    (outcome,) = world.ledger.outcomes([transaction.signature])
    assert outcome is not None
    assert (outcome.err, outcome.fee) == (NOT_FOUND, 5_000)
