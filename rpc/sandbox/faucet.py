"""The faucet of a sandbox: signs transfers out of the genesis account."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.keypairs import KeypairError, read_keypair
from rpc.jsonrpc.errors import RpcError, invalid_params, invalid_request

#: Blockhashes are valid for 150 slots; an airdrop remembered longer cannot clash any more.
_REMEMBERED = 100_000
#: Compute units of a transfer with a limit, with a margin.
_UNITS = 10_000


class Faucet:
    """The keypair in `path` (the Solana tools' JSON array of 64 bytes), read at first use."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._keypair: Keypair | None = None
        self._made: OrderedDict[tuple[bytes, int, bytes], int] = OrderedDict()

    def sign(self, target: Pubkey, lamports: int, blockhash: Hash) -> VersionedTransaction:
        """A signed transfer to `target`. Raises RpcError beyond the limit or without a keypair file."""
        if lamports > self._limit:
            raise invalid_params(f"Invalid param: {lamports} lamports in one airdrop; at most {self._limit}")
        keypair = self.keypair()
        instructions = [transfer(TransferParams(from_pubkey=keypair.pubkey(), to_pubkey=target, lamports=lamports))]
        # The same airdrop again under the same blockhash would be the same transaction, and have no effect.
        again = self._count((bytes(target), lamports, bytes(blockhash)))
        if again:
            instructions.append(set_compute_unit_limit(_UNITS + again))
        message = Message.new_with_blockhash(instructions, keypair.pubkey(), blockhash)
        return VersionedTransaction(message, [keypair])

    def _count(self, airdrop: tuple[bytes, int, bytes]) -> int:
        times = self._made.pop(airdrop, -1) + 1
        self._made[airdrop] = times
        if len(self._made) > _REMEMBERED:
            self._made.popitem(last=False)
        return times

    def keypair(self) -> Keypair:
        """Its key. Raises RpcError without a keypair file."""
        if self._keypair is None:
            if not self._path.exists():
                raise invalid_request("Airdrops are off: this instance has no faucet keypair")
            try:
                self._keypair = read_keypair(self._path)
            except KeypairError as error:
                raise RpcError(-32603, str(error)) from error
        return self._keypair
