"""Who pays whom: keys that follow from the seed, so that the same seed sends the same transfers."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    create_nonce_account,
    transfer,
)
from solders.transaction import VersionedTransaction

from tests.support.oracle import instructions as make

SOL = 10**9
_WALLETS = 4
_NONCE_BYTES = 80


def key_of(seed: int, name: str) -> Keypair:
    """The key of this name in a storm of this seed."""
    return Keypair.from_seed(hashlib.sha256(f"{seed}/{name}".encode()).digest())


def pay(source: Pubkey, target: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=source, to_pubkey=target, lamports=lamports))


def signed(instructions: list[Instruction], signers: list[Keypair], blockhash: Hash) -> bytes:
    """The bytes of a legacy transaction that the first signer pays."""
    message = Message.new_with_blockhash(instructions, signers[0].pubkey(), blockhash)
    return bytes(VersionedTransaction(message, signers))


def signature_of(raw: bytes) -> str:
    """Base58 of the first signature."""
    return str(VersionedTransaction.from_bytes(raw).signatures[0])


@dataclass
class Wallets:
    """One client's wallets, a nonce account and a token account each, and what all clients share: the hot account."""

    seed: int
    owner: str
    chance: random.Random
    wallets: list[Keypair] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wallets = [key_of(self.seed, f"{self.owner}/{number}") for number in range(_WALLETS)]
        self.nonce = key_of(self.seed, f"{self.owner}/nonce")
        self.hot = key_of(self.seed, "hot").pubkey()
        self.mint = key_of(self.seed, "mint")

    @property
    def watched(self) -> list[Pubkey]:
        """Accounts whose balances are worth asking for."""
        tokens = [self.tokens(wallet.pubkey()) for wallet in self.wallets]
        return [*(wallet.pubkey() for wallet in self.wallets), self.hot, self.nonce.pubkey(), *tokens]

    def tokens(self, owner: Pubkey) -> Pubkey:
        return make.token_address(make.TOKEN, self.mint.pubkey(), owner)

    def setup(self, faucet: Keypair, blockhash: Hash) -> list[bytes]:
        """What must be done first: money, a nonce account, token accounts with tokens."""
        done = [signed([pay(faucet.pubkey(), one.pubkey(), 1_000 * SOL)], [faucet], blockhash) for one in self.wallets]
        first = self.wallets[0].pubkey()
        rent = make.rent(_NONCE_BYTES)
        nonce = create_nonce_account(faucet.pubkey(), self.nonce.pubkey(), first, rent)
        done.append(signed(list(nonce), [faucet, self.nonce], blockhash))
        for one in self.wallets:
            steps = [
                make.create_token_account(make.TOKEN, self.mint.pubkey(), one.pubkey(), faucet.pubkey()),
                make.mint_to(make.TOKEN, self.mint.pubkey(), self.tokens(one.pubkey()), faucet.pubkey(), 1_000_000_000),
            ]
            done.append(signed(steps, [faucet], blockhash))
        return done

    # ---- what clients send

    def some(self, blockhash: Hash) -> tuple[str, bytes]:
        """A name for what it is, and a transaction's bytes."""
        kinds = [self.transfer, self.transfer, self.to_hot, self.to_hot, self.fresh, self.overdraw, self.memo,
                 self.token_transfer, self.poor]  # fmt: skip
        kind = self.chance.choice(kinds)
        return kind.__name__, kind(blockhash)

    def transfer(self, blockhash: Hash) -> bytes:
        source, target = self.chance.sample(self.wallets, 2)
        return signed([pay(source.pubkey(), target.pubkey(), self._amount())], [source], blockhash)

    def to_hot(self, blockhash: Hash) -> bytes:
        """To the account that all clients pay to."""
        source = self.chance.choice(self.wallets)
        return signed([pay(source.pubkey(), self.hot, self._amount())], [source], blockhash)

    def fresh(self, blockhash: Hash) -> bytes:
        """To an account that is not there yet."""
        source = self.chance.choice(self.wallets)
        target = Keypair.from_seed(self.chance.randbytes(32)).pubkey()
        return signed([pay(source.pubkey(), target, self._amount())], [source], blockhash)

    def overdraw(self, blockhash: Hash) -> bytes:
        """More than there is: it fails in the program, and costs its fee."""
        source = self.chance.choice(self.wallets)
        lamports = 10**17 + self.chance.randrange(10**9)
        return signed([pay(source.pubkey(), self.hot, lamports)], [source], blockhash)

    def poor(self, blockhash: Hash) -> bytes:
        """From an account that is not there: it is refused without a fee."""
        source = Keypair.from_seed(self.chance.randbytes(32))
        return signed([pay(source.pubkey(), self.hot, self._amount())], [source], blockhash)

    def memo(self, blockhash: Hash) -> bytes:
        """A call of the memo program."""
        source = self.chance.choice(self.wallets)
        return signed([make.memo(f"{self.chance.random()}", source.pubkey())], [source], blockhash)

    def token_transfer(self, blockhash: Hash) -> bytes:
        source, target = (one.pubkey() for one in self.chance.sample(self.wallets, 2))
        amount = self.chance.randrange(1, 1_000)
        step = make.move_tokens(make.TOKEN, self.tokens(source), self.tokens(target), source, amount)
        payer = next(one for one in self.wallets if one.pubkey() == source)
        return signed([step], [payer], blockhash)

    def with_nonce(self, stored: Hash) -> bytes:
        """A transfer whose blockhash is the nonce `stored`."""
        source = self.wallets[0]
        advance = AdvanceNonceAccountParams(nonce_pubkey=self.nonce.pubkey(), authorized_pubkey=source.pubkey())
        steps = [advance_nonce_account(advance), pay(source.pubkey(), self.hot, self._amount())]
        return signed(steps, [source], stored)

    def _amount(self) -> int:
        # Above what exempts a new account from rent.
        return 1_000_000 + self.chance.randrange(10**9)


def shared_setup(seed: int, faucet: Keypair, blockhash: Hash) -> list[bytes]:
    """What all clients share: the hot account and the mint."""
    from solders.system_program import CreateAccountParams, create_account

    mint, hot = key_of(seed, "mint"), key_of(seed, "hot").pubkey()
    space = make.MINT_BYTES
    steps = [
        create_account(
            CreateAccountParams(
                from_pubkey=faucet.pubkey(),
                to_pubkey=mint.pubkey(),
                lamports=make.rent(space),
                space=space,
                owner=make.TOKEN,
            )
        ),
        make.initialize_mint(make.TOKEN, mint.pubkey(), faucet.pubkey()),
    ]
    return [
        signed([pay(faucet.pubkey(), hot, SOL)], [faucet], blockhash),
        signed(steps, [faucet, mint], blockhash),
    ]


def read_faucet(path: Path) -> Keypair:
    """The key file that `trunkline init` left."""
    return Keypair.from_bytes(bytes(json.loads(path.read_text())))
