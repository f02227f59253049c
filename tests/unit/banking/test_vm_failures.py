"""When the VM itself fails: an outcome for that transaction, nothing for its batch, and a new VM for the next."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import fakeredis
import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer
from solders.transaction import VersionedTransaction

from banking.audit.audit import audit
from banking.execution.executor import SvmExecutor
from banking.execution.processor import Processor
from banking.execution.stage import BankingStage
from banking.intake.dead_letters import TransactionDeadLetters
from banking.intake.intake import Intake
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome
from banking.transaction import SignedTransaction, verify
from tests.support import programs
from tests.support.ledgers import SOL, World, new_world, sign

FAILED = '{"InstructionError":[0,"ProgramFailedToComplete"]}'
FEE = 5_000


class PanicException(BaseException):
    """As pyo3's, which is no Exception."""


@pytest.fixture
def world() -> World:
    return new_world(fakeredis.FakeRedis(version=(6, 2)))


def outcomes(world: World, transactions: list[SignedTransaction]) -> list[tuple[str | None, int]]:
    found = world.ledger.outcomes([transaction.signature for transaction in transactions])
    assert None not in found
    return [(one.err, one.fee) for one in found if one]


def transfers(world: World, count: int) -> list[SignedTransaction]:
    return [world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(count)]


def poison(stage: BankingStage, bad: SignedTransaction, error: BaseException, *, times: int = 1_000) -> list[int]:
    """Let the VM fail over `bad`; the list counts its runs."""
    vm: Any = stage._executor._vm
    runs = [0]

    def failing(call: Callable[[VersionedTransaction], Any]) -> Callable[[VersionedTransaction], Any]:
        def run(transaction: VersionedTransaction) -> Any:
            if transaction == bad.parsed:
                runs[0] += 1
                if runs[0] <= times:
                    raise error
            return call(transaction)

        return run

    vm._vm_send, vm._vm_simulate = failing(vm._vm_send), failing(vm._vm_simulate)
    return runs


def count_commits(world: World) -> list[int]:
    original, sizes = world.ledger.commit, []

    def commit(entries: Any, *args: Any, **more: Any) -> Any:
        sizes.append(len(entries))
        return original(entries, *args, **more)

    world.ledger.commit = commit  # type: ignore[method-assign]
    return sizes


def processor(world: World) -> Processor:
    return Processor(world.stage, Intake(world.ledger), TransactionDeadLetters(world.ledger))


def test_panic_is_the_outcome_of_one_and_its_batch_stays_whole(world: World) -> None:
    transactions = transfers(world, 64)
    runs, sizes = poison(world.stage, transactions[20], PanicException("index out of bounds")), count_commits(world)
    done = processor(world).run(transactions, enqueued_at=0, isolate=False)
    assert (done.committed, done.dead, sizes, runs) == (64, 0, [64], [2])
    assert outcomes(world, transactions) == [(None, FEE)] * 20 + [(FAILED, FEE)] + [(None, FEE)] * 43
    world.seal()
    assert audit(world.ledger, world.blocks).ok


def test_panic_that_does_not_come_again_in_a_new_vm_is_no_outcome(world: World) -> None:
    transactions = transfers(world, 3)
    assert poison(world.stage, transactions[1], PanicException("once"), times=1) == [0]
    world.stage.process(transactions)
    assert outcomes(world, transactions) == [(None, FEE)] * 3


def test_panic_over_a_payer_without_money_is_free(world: World) -> None:
    poor = world.transfer(Keypair(), Keypair().pubkey(), SOL)
    poison(world.stage, poor, PanicException("index out of bounds"))
    assert world.stage.process([poor]).refused == [poor]
    assert world.ledger.refusals([poor.signature]) == [FAILED]


def test_lamports_out_of_thin_air_are_never_committed(world: World) -> None:
    transactions = transfers(world, 2)
    vm: Any = world.stage._executor._vm
    original = vm.changed

    runs = [0]

    def changed(keys: Any, view: Any) -> dict[bytes, bytes]:
        runs[0] += 1
        writes: dict[bytes, bytes] = original(keys, view)
        target = bytes(transactions[0].parsed.message.account_keys[1])
        return {key: (record[:7] + b"\1" + record[8:] if key == target else record) for key, record in writes.items()}

    vm.changed = changed
    world.stage.process(transactions)
    assert outcomes(world, transactions) == [('"UnbalancedTransaction"', FEE), (None, FEE)]
    assert runs == [3], "it ran once more in a new VM"
    world.seal()
    assert audit(world.ledger, world.blocks).ok


def test_simulation_survives_a_panic(world: World) -> None:
    bad, good = transfers(world, 2)
    poison(world.stage, bad, PanicException("index out of bounds"))
    assert [one.result.err for one in world.stage.simulate_each([(bad, True), (good, True)])] == [FAILED, None]
    assert world.stage.simulate(good).result.err is None


def test_what_is_no_failure_of_the_vm_goes_on_up_and_leaves_a_new_vm(world: World) -> None:
    """Ctrl-C, or a time limit: the transaction has no outcome, and nothing half-done stays."""
    transactions = transfers(world, 2)
    poison(world.stage, transactions[1], KeyboardInterrupt(), times=1)
    with pytest.raises(KeyboardInterrupt):
        world.stage.process(transactions)
    assert world.stage._executor._vm.held_bytes == 0
    world.stage.process(transactions)
    assert outcomes(world, transactions) == [(None, FEE)] * 2


def test_only_what_cannot_be_run_is_buried(world: World) -> None:
    transactions = transfers(world, 64)
    poison(world.stage, transactions[5], ValueError("not even an outcome"))
    sizes = count_commits(world)
    done = processor(world).run(transactions, enqueued_at=0, isolate=False)
    assert (done.committed, done.dead, sizes) == (63, 1, [63])


def test_real_panic_of_the_vm(world: World) -> None:
    """LiteSVM panics when an account without code stands where the code of a closed program was."""
    owner = world.faucet
    buffer, program = Keypair(), Keypair()

    def run(instructions: list[Instruction], *signers: Keypair) -> Outcome:
        transaction = verify(bytes(sign(instructions, [owner, *signers], world.blockhash())))
        world.stage.process([transaction])
        (found,) = world.ledger.outcomes([transaction.signature])
        assert found is not None
        return found

    for number, group in enumerate(programs.buffer_instructions(owner.pubkey(), buffer.pubkey(), programs.elf())):
        assert run(group, *([] if number else [buffer])).ok
    most = len(programs.elf())
    deploy = programs.deploy_instructions(owner.pubkey(), program.pubkey(), buffer.pubkey(), most)
    assert run(deploy, program).ok
    world.seal()
    assert run([programs.close_instruction(owner.pubkey(), program.pubkey())]).ok
    data = programs.program_data(program.pubkey())
    assert run([transfer(TransferParams(from_pubkey=owner.pubkey(), to_pubkey=data, lamports=SOL))]).ok
    plain = transfer(TransferParams(from_pubkey=owner.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL))
    metas = [*plain.accounts, AccountMeta(program.pubkey(), False, True)]
    found = run([Instruction(plain.program_id, plain.data, metas)])
    assert (found.err, found.fee) == (FAILED, FEE)
    assert run([plain]).ok
    assert run([programs.call(program.pubkey(), owner.pubkey())]).err == (
        '{"InstructionError":[0,"UnsupportedProgramId"]}'
    )


# ---- what it holds


def test_what_a_vm_holds_is_bounded_by_bytes(world: World) -> None:
    stage = BankingStage(Ledger(world.ledger.client, world.ledger.keys.name), SvmExecutor(most_bytes=1_000_000))
    owner, system = world.faucet.pubkey(), Pubkey.default()
    held = []
    for _ in range(20):
        account = Keypair()
        space = 100_000
        params = CreateAccountParams(
            from_pubkey=owner, to_pubkey=account.pubkey(), lamports=SOL, space=space, owner=system
        )
        stage.process([verify(bytes(sign([create_account(params)], [world.faucet, account], world.blockhash())))])
        # A simulation counts, too.
        stage.simulate(world.transfer(world.faucet, account.pubkey(), SOL))
        held.append(stage._executor._vm.held_bytes)
    assert max(held) < 1_300_000
    assert any(now < before for before, now in pairwise(held))


def test_compiled_code_counts(world: World) -> None:
    """It takes several times the bytes of the account that it comes from."""
    stage = BankingStage(Ledger(world.ledger.client, world.ledger.keys.name), SvmExecutor())
    call = programs.call(programs.MEMO, world.faucet.pubkey())
    stage.process([verify(bytes(sign([call], [world.faucet], world.blockhash())))])
    assert stage._executor._vm.held_bytes > 5 * len(programs.elf())
