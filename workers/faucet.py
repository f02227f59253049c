"""The faucet: the keypair that owns the genesis supply, and the ledger that is made with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.admin.genesis import create_ledger, genesis_accounts
from banking.admin.vote_account import operator_vote_account
from banking.errors import LedgerExists
from banking.execution.sandbox_program import sandbox_account
from banking.from_settings import open_blocks
from banking.keypairs import read_keypair, write_keypair
from banking.ledger.ledger import Ledger
from config.errors import TrunklineError
from config.settings import Profile, Settings
from recovery.connections import connect

FILE_NAME = "faucet.json"


class NoFaucet(TrunklineError):
    """There is no faucet to take lamports from."""


@dataclass(frozen=True, slots=True)
class Initialised:
    """A ledger that is there now. `faucet` is None when it was made elsewhere with a key that is not here."""

    ledger_id: str
    created: bool
    faucet: Pubkey | None


def faucet_path(settings: Settings) -> Path:
    return settings.data_dir / FILE_NAME


def read_faucet(settings: Settings) -> Keypair:
    """The faucet's keypair, to give lamports away. Raises NoFaucet (always in profile `prod`) and KeypairError."""
    if settings.profile is Profile.PROD:
        raise NoFaucet("The profile is prod: no lamports are given away. Transfer them from an account that has some.")
    path = faucet_path(settings)
    if not path.exists():
        raise NoFaucet(
            f"There is no faucet key {path}. `trunkline init` makes one with the ledger; "
            "for a ledger made elsewhere, copy its faucet.json here."
        )
    return read_keypair(path)


def initialise(
    settings: Settings, redis_url: str, extra: Callable[[], Mapping[bytes, bytes]] | None = None
) -> Initialised:
    """Make the configured ledger with a funded faucet unless it is there; safe to repeat, also after a kill.

    `extra()` gives further accounts (key to record) for the first block; it is asked only when a ledger is made.

    Raises LedgerExists when only the archive has it (it is to be restored), LedgerUnavailable, ArchiveError, and
    KeypairError when the faucet's file is damaged.
    """
    with connect(redis_url, timeout=settings.redis.timeout) as client:
        ledger = Ledger(client, settings.ledger.name)
        if ledger.exists():
            return _found(settings, ledger)
        keypair = _keypair(settings)
        accounts = genesis_accounts(keypair.pubkey(), settings.ledger.genesis_lamports)
        blocks = open_blocks(settings)
        # The faucet stays the faucet, whatever a fixture says of it.
        accounts = {
            **accounts,
            **operator_vote_account(Pubkey(blocks.identity.public_key)),
            **(extra() if extra else {}),
            bytes(keypair.pubkey()): accounts[bytes(keypair.pubkey())],
            # And it alone may set accounts by hand, in a sandbox.
            **(sandbox_account(keypair.pubkey()) if settings.profile is not Profile.PROD else {}),
        }
        try:
            made = create_ledger(ledger, blocks, accounts)
        except LedgerExists:
            if not ledger.exists():
                raise
            # Somebody else was faster by a moment; whose faucet it has will show.
            return _found(settings, ledger)
        return Initialised(made, True, keypair.pubkey())


def _found(settings: Settings, ledger: Ledger) -> Initialised:
    path = faucet_path(settings)
    faucet = read_keypair(path).pubkey() if path.exists() else None
    funded = faucet is not None and ledger.account(bytes(faucet))
    return Initialised(ledger.state().ledger_id, False, faucet if funded else None)


def _keypair(settings: Settings) -> Keypair:
    """The faucet's keypair, written before the ledger is: lamports must never belong to a key that was lost."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_keypair(faucet_path(settings), Keypair())
    return read_keypair(faucet_path(settings))
