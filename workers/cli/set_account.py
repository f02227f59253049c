"""Setting an account by hand: a few transactions of the faucet, and the wait for them."""

from __future__ import annotations

from collections.abc import Sequence

from solders.hash import Hash
from solders.pubkey import Pubkey

from banking.admin.set_account import AccountUpdate, check_authority, set_account
from banking.execution.sandbox_program import SANDBOX_PROGRAM
from config.settings import get_settings
from tasks.receipts import Receipt
from tasks.submission import Submitter
from workers.cli.connection import open_ledger, open_submitter
from workers.cli.errors import CommandFailed
from workers.cli.sandbox import require_sandbox
from workers.faucet import read_faucet


def set_account_by_hand(key: Pubkey, update: AccountUpdate, whole: bytes | None, patience: float) -> int:
    """Make account `key` the record `whole`, or else apply `update` to it; returns the slot.

    Waits at most `patience` seconds for each step. Raises SandboxRefused, NoFaucet, SetRefused, CommandFailed.
    """
    settings = get_settings()
    require_sandbox(settings, "setting accounts by hand")
    faucet, ledger = read_faucet(settings), open_ledger()
    check_authority(ledger.account(bytes(SANDBOX_PROGRAM)), faucet.pubkey())
    record = update.apply(ledger.account(bytes(key))) if whole is None else whole
    setting = set_account(faucet, key, record, Hash.from_bytes(ledger.state().blockhash))
    submitter = open_submitter(ledger)
    if setting.pieces:
        _processed(submitter, setting.pieces, patience)
    return _processed(submitter, [setting.last], patience)


def _processed(submitter: Submitter, transactions: Sequence[bytes], patience: float) -> int:
    """The slot of the last one, once all are processed. Raises CommandFailed."""
    slots = [
        _slot_of(receipt, patience) for receipt in submitter.submit(transactions, wait="processed", timeout=patience)
    ]
    return slots[-1]


def _slot_of(receipt: Receipt, patience: float) -> int:
    outcome = receipt.outcome
    if outcome is not None and outcome.err is None:
        return outcome.slot
    if outcome is not None:
        raise CommandFailed(f"The account was not set: {outcome.err}. {' '.join(outcome.logs[-1:])}")
    if receipt.reason:
        raise CommandFailed(f"The account was not set: {receipt.reason}.")
    raise CommandFailed(
        f"No outcome within {patience:g} s; the account may still be set. `trunkline status` shows whether workers "
        "consume."
    )
