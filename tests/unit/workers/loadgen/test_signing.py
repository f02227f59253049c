"""Signed transfers: all different, all valid, the same from whichever process."""

from __future__ import annotations

import pytest
from solders.keypair import Keypair

from banking.transaction import PACKET_BYTES, verify
from tests.support.waiting import gone, wait_until
from workers.loadgen.signing import Signers, TransferPlan
from workers.loadgen.transfers import MAX_TRANSFERS, fan_out, unique_transfer

BLOCKHASH = bytes(range(32))


@pytest.fixture(scope="module")
def plan() -> TransferPlan:
    return TransferPlan([Keypair() for _ in range(5)], seed=7)


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize(("total", "chunk"), [(1, 10), (10, 10), (23, 5)])
def test_every_transfer_comes_once_and_in_order(plan: TransferPlan, processes: int, total: int, chunk: int) -> None:
    with Signers(plan, processes) as signers:
        chunks = list(signers.stream(total, chunk, lambda: BLOCKHASH))
    assert [len(some) for some in chunks[:-1]] == [chunk] * (len(chunks) - 1)
    transfers = [verify(raw) for some in chunks for raw in some]
    assert len({transfer.signature for transfer in transfers}) == total
    lamports = [int.from_bytes(transfer.parsed.message.instructions[0].data[4:], "little") for transfer in transfers]
    assert lamports == list(range(1, total + 1))
    assert [one.raw for one in transfers] == [
        raw for first in range(0, total, chunk) for raw in plan.sign(BLOCKHASH, first, min(chunk, total - first))
    ]


def test_each_chunk_asks_for_its_blockhash(plan: TransferPlan) -> None:
    hashes = (bytes([number]) * 32 for number in range(100))
    with Signers(plan, 1) as signers:
        seen = [verify(raw).blockhash[0] for some in signers.stream(6, 2, lambda: next(hashes)) for raw in some]
    assert seen == [0, 0, 1, 1, 2, 2]


def test_processes_end_when_the_pipe_does(plan: TransferPlan) -> None:
    signers = Signers(plan, 1).__enter__()
    [child] = signers._processes
    assert child.pid is not None
    pid = child.pid
    # As when the parent is killed: nobody says good-bye.
    signers._pipes[0].close()
    wait_until(lambda: gone(pid), "the signing process ends")
    signers.__exit__(None, None, None)


def test_a_fan_out_fits_a_packet() -> None:
    raw = fan_out(Keypair(), [Keypair().pubkey() for _ in range(MAX_TRANSFERS)], 1, BLOCKHASH)
    assert len(raw) <= PACKET_BYTES
    assert verify(raw)


def test_equal_transfers_differ() -> None:
    source, target = Keypair(), Keypair().pubkey()
    assert len({unique_transfer(source, target, 5, BLOCKHASH) for _ in range(20)}) == 20
