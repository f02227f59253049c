"""A developer who deploys a program, calls it, upgrades it, closes it, and calls it again."""

from __future__ import annotations

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from tests.chaos.clients.base import Surroundings
from tests.chaos.clients.python_client import PythonClient, blockhash_of
from tests.chaos.clients.wallets import signed
from tests.support.oracle import instructions as make
from tests.support.oracle import sbpf
from tests.support.oracle.program_doings import BUFFER_HEAD, CODE_BYTES, PROGRAM_BYTES

_CALLS = 6


class ProgramClient(PythonClient):
    """One step is one deed, and some calls, which say in their logs which code they ran."""

    pause = 0.3

    def __init__(self, name: str, around: Surroundings) -> None:
        super().__init__(name, around)
        self._programs: list[Pubkey] = []
        self._version = 0

    def step(self) -> None:
        blockhash = blockhash_of(self.submitter)
        self._version += 1
        if not self._programs or self.chance.random() < 0.2:
            self._send("deploy", self._deploy(blockhash))
        elif self.chance.random() < 0.8:
            program = self.chance.choice(self._programs)
            buffer, batch = self._fill_buffer(blockhash)
            step = make.upgrade(program, buffer.pubkey(), self._payer.pubkey())
            self._send("upgrade", [*batch, signed([step], [self._payer], blockhash)])
        else:
            step = make.close_program(self.chance.choice(self._programs), self._payer.pubkey())
            self._send("close", [signed([step], [self._payer], blockhash)])
        for _ in range(_CALLS):
            program = self.chance.choice(self._programs)
            payer = self.chance.choice(self.wallets.wallets)
            call = make.call(program, self.chance.randbytes(4), (payer.pubkey(), "s"))
            self._send("call", [signed([call], [payer], blockhash)])

    @property
    def _payer(self) -> Keypair:
        return self.wallets.wallets[0]

    def _send(self, what: str, batch: list[bytes]) -> None:
        self.submit([(what, raw) for raw in batch], "processed", 5.0)

    def _deploy(self, blockhash: Hash) -> list[bytes]:
        program = Keypair.from_seed(self.chance.randbytes(32))
        buffer, batch = self._fill_buffer(blockhash)
        steps = [
            self._create(program, PROGRAM_BYTES),
            make.deploy(program.pubkey(), buffer.pubkey(), self._payer.pubkey(), CODE_BYTES),
        ]
        self._programs.append(program.pubkey())
        return [*batch, signed(steps, [self._payer, program], blockhash)]

    def _fill_buffer(self, blockhash: Hash) -> tuple[Keypair, list[bytes]]:
        """A buffer with code that nobody has run yet."""
        buffer, code = Keypair.from_seed(self.chance.randbytes(32)), sbpf.telling(self._version)
        authority = self._payer.pubkey()
        begin = [self._create(buffer, BUFFER_HEAD + CODE_BYTES), make.initialize_buffer(buffer.pubkey(), authority)]
        # Two writes: one packet has no room for all.
        half = len(code) // 2
        first, second = (
            make.write_buffer(buffer.pubkey(), authority, code[:half]),
            make.write_buffer(buffer.pubkey(), authority, code[half:], half),
        )
        return buffer, [
            signed(begin, [self._payer, buffer], blockhash),
            signed(list(first), [self._payer], blockhash),
            signed(list(second), [self._payer], blockhash),
        ]

    def _create(self, account: Keypair, space: int) -> Instruction:
        return create_account(
            CreateAccountParams(
                from_pubkey=self._payer.pubkey(),
                to_pubkey=account.pubkey(),
                lamports=make.rent(space),
                space=space,
                owner=make.LOADER,
            )
        )
