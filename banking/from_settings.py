"""From settings to a ledger and its archive."""

from __future__ import annotations

from solders.pubkey import Pubkey

from banking.blocks.store import BlockStore
from banking.ledger.connections import ledger_client
from banking.ledger.ledger import Ledger
from banking.restore.ledger_recovery import LedgerRecovery
from config.errors import ConfigurationError
from config.settings import Settings
from recovery.archive import open_archive, read_archive
from recovery.dead_letters import LetterLimits
from recovery.identity import Identity


def open_ledger(settings: Settings) -> Ledger:
    """The ledger that `settings` name; nothing is sent yet. Raises ConfigurationError without a known Redis."""
    return Ledger(ledger_client(settings), settings.ledger.name)


def open_blocks(settings: Settings, *, ledger: str | None = None) -> BlockStore:
    """The blocks of the settings' ledger (or of `ledger`), signed with the node's key.

    Raises ConfigurationError, ArchiveError.
    """
    return BlockStore(
        open_archive(settings.archive_location()),
        ledger or settings.ledger.name,
        Identity.load_or_create(settings.identity_path()),
        trusted_keys(settings),
    )


def read_blocks(settings: Settings, *, ledger: str | None = None) -> BlockStore:
    """The same blocks for reading only: neither an archive nor a key is made, and nothing can be written.

    Raises ConfigurationError when there is no archive, ArchiveError.
    """
    path = settings.identity_path()
    # Without the node's key its place is taken by one that has signed nothing, so only trusted keys count.
    identity = Identity.load(path) if path.exists() else Identity.generate()
    archive = read_archive(settings.archive_location())
    return BlockStore(archive, ledger or settings.ledger.name, identity, trusted_keys(settings))


def read_recovery(settings: Settings) -> LedgerRecovery:
    """The keeper of the settings' ledger for reading only. Raises ConfigurationError, ArchiveError."""
    return LedgerRecovery(open_ledger(settings), read_blocks(settings))


def open_recovery(settings: Settings, *, ledger: str | None = None) -> LedgerRecovery:
    """The keeper of the settings' ledger (or of `ledger`). Raises ConfigurationError, ArchiveError."""
    name = ledger or settings.ledger.name
    return LedgerRecovery(Ledger(ledger_client(settings), name), open_blocks(settings, ledger=name))


def trusted_keys(settings: Settings) -> frozenset[bytes]:
    """Public keys beside our own whose blocks and checkpoints are believed. Raises ConfigurationError."""
    try:
        return frozenset(
            bytes(Pubkey.from_string(key)) for key in settings.archive.trusted_keys.replace(",", " ").split()
        )
    except ValueError as error:
        raise ConfigurationError(f"TRUNKLINE_TRUSTED_KEYS: {error}; give base58 public keys") from None


def keeps_archive(settings: Settings) -> bool:
    """Whether this host has the key that signs blocks, and may use it; one that does not only executes."""
    return not settings.worker.execute_only and settings.identity_path().exists()


def letter_limits(settings: Settings) -> LetterLimits:
    """When the ledger's dead letters are full."""
    return LetterLimits(settings.intake.dead_letter_limit, settings.intake.dead_letter_bytes)
