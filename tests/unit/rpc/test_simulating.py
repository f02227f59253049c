"""The RPC server's simulations outlive whatever one of them does to the VM."""

from __future__ import annotations

import asyncio
from typing import Any

import fakeredis
import pytest
from solders.keypair import Keypair

from banking.errors import VmPanic
from rpc.sending.simulator import Simulator
from tests.support.ledgers import SOL, new_world


class PanicException(BaseException):
    """As pyo3's, which is no Exception."""


def test_loop_survives_what_is_no_exception() -> None:
    world = new_world(fakeredis.FakeRedis(version=(6, 2)))
    transaction = world.transfer(world.faucet, Keypair().pubkey(), SOL)

    async def scenario() -> None:
        simulator = Simulator(lambda: world.ledger, queue_limit=10)
        run: Any = simulator._run

        def panicking(group: Any) -> Any:
            simulator._run = run  # type: ignore[method-assign]
            raise PanicException("index out of bounds")

        simulator._run = panicking  # type: ignore[method-assign]
        answers = await asyncio.gather(*(simulator.simulate(transaction) for _ in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [VmPanic] * 3
        assert (await asyncio.wait_for(simulator.simulate(transaction), 10)).result.err is None
        simulator.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("panics", [1, 2])
def test_simulation_that_panics_is_answered(panics: int) -> None:
    world = new_world(fakeredis.FakeRedis(version=(6, 2)))
    transactions = [world.transfer(world.faucet, Keypair().pubkey(), SOL) for _ in range(3)]

    async def scenario() -> None:
        simulator = Simulator(lambda: world.ledger, queue_limit=10)
        await simulator.simulate(transactions[0])
        assert simulator._stage is not None
        vm: Any = simulator._stage._executor._vm
        call, left = vm._vm_simulate, [panics]

        def panicking(transaction: Any) -> Any:
            if transaction == transactions[1].parsed and left[0]:
                left[0] -= 1
                raise PanicException("index out of bounds")
            return call(transaction)

        vm._vm_simulate = panicking
        answers = await asyncio.gather(*(simulator.simulate(signed) for signed in transactions))
        broken = '{"InstructionError":[0,"ProgramFailedToComplete"]}'
        assert [one.result.err for one in answers] == [None, broken if panics == 2 else None, None]
        simulator.close()

    asyncio.run(scenario())
