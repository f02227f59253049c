"""Signing transfers ahead of their submission, on as many cores as there are to spare."""

from __future__ import annotations

import multiprocessing
import random
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Self

from solders.keypair import Keypair

from workers.loadgen.transfers import plain_transfer

#: Chunks that each process has in hand; with a chunk of at most a second, blockhashes stay far from expiring.
_AHEAD = 2


class TransferPlan:
    """Transfer number i (from 0) among the accounts: the same in every process that makes it with the same `seed`."""

    def __init__(self, keypairs: Sequence[Keypair], seed: int) -> None:
        if len(keypairs) < 2:
            raise ValueError("transfers need at least 2 accounts")
        self.keypairs = keypairs
        self.seed = seed
        self._pubkeys = [keypair.pubkey() for keypair in keypairs]

    def sign(self, blockhash: bytes, first: int, count: int) -> list[bytes]:
        """The signed transfers first .. first + count - 1. No two are equal: transfer i is of i + 1 lamports."""
        chance = random.Random(self.seed * 1_000_003 + first)
        signed = []
        for number in range(first, first + count):
            source, target = chance.sample(range(len(self.keypairs)), 2)
            signed.append(plain_transfer(self.keypairs[source], self._pubkeys[target], number + 1, blockhash))
        return signed


class Signers(AbstractContextManager["Signers"]):
    """Processes that sign by a plan; with `processes` 0 this one does.

    They read their jobs from a pipe and end when it does, so a killed parent leaves none behind.
    """

    def __init__(self, plan: TransferPlan, processes: int) -> None:
        self._plan = plan
        self._wanted = processes
        self._processes: list[SpawnProcess] = []
        self._pipes: list[Connection] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        secrets = b"".join(bytes(keypair) for keypair in self._plan.keypairs)
        resource_tracker.ensure_running()
        for _ in range(self._wanted):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, secrets, self._plan.seed), daemon=True)
            # Ctrl-C reaches the whole terminal. The child inherits the mask and ends when the parent closes the
            # pipe; the parent sees the signal a moment later.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(2.0)
            if process.is_alive():
                process.kill()
                process.join()
        self._pipes, self._processes = [], []

    def stream(self, total: int, chunk: int, blockhash: Callable[[], bytes]) -> Iterator[list[bytes]]:
        """`total` signed transfers in order, `chunk` at a time; `blockhash` is asked for each chunk."""
        jobs = ((blockhash(), first, min(chunk, total - first)) for first in range(0, total, chunk))
        if not self._pipes:
            for job in jobs:
                yield self._plan.sign(*job)
            return
        waiting: deque[Connection] = deque()

        def order(pipe: Connection) -> None:
            if (job := next(jobs, None)) is not None:
                pipe.send(job)
                waiting.append(pipe)

        for pipe in self._pipes * _AHEAD:
            order(pipe)
        while waiting:
            pipe = waiting.popleft()
            signed: list[bytes] = pipe.recv()
            order(pipe)
            yield signed


def _serve(pipe: Connection, secrets: bytes, seed: int) -> None:
    """A signing process: answers jobs until the pipe closes."""
    plan = TransferPlan([Keypair.from_bytes(secrets[at : at + 64]) for at in range(0, len(secrets), 64)], seed)
    try:
        while True:
            blockhash, first, count = pipe.recv()
            pipe.send(plan.sign(blockhash, first, count))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
