"""The first entry of a ledger: who owns all the lamports there will ever be."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping

from solders.account import Account
from solders.pubkey import Pubkey

from banking.errors import LedgerExists
from banking.executor import SvmExecutor
from banking.ledger import Ledger
from banking.records import Result, lamports_of, pack_account, pack_result

FIRST_EPOCH = 1


def genesis_accounts(faucet: Pubkey, lamports: int) -> dict[bytes, bytes]:
    """The faucet with `lamports`, and the BPF programs that come with the VM; key to record."""
    accounts = dict(SvmExecutor().programs())
    owner = Pubkey.default()
    accounts[bytes(faucet)] = pack_account(Account(lamports=lamports, data=b"", owner=owner, executable=False))
    return accounts


def create_ledger(ledger: Ledger, accounts: Mapping[bytes, bytes], *, ledger_id: str | None = None) -> str:
    """Make the ledger with these accounts and open slot 1; returns its id.

    Raises LedgerExists, LedgerUnavailable, and ValueError when the supply does not fit 63 bits.
    """
    supply = sum(map(lamports_of, accounts.values()))
    if supply >= 2**63:
        raise ValueError(f"a supply of {supply} lamports does not fit: it must stay below 2^63")
    identity = ledger_id or secrets.token_hex(16)
    keys = ledger.keys.epoch(FIRST_EPOCH)
    flat = [part for pair in sorted(accounts.items()) for part in pair]
    made = ledger.run(
        "create",
        [ledger.keys.meta, keys.state, keys.accounts, keys.versions, keys.blockhashes, keys.journal],
        [
            FIRST_EPOCH,
            identity,
            supply,
            genesis_blockhash(identity, accounts),
            pack_result(Result(None, 0, 0, [])),
            *flat,
        ],
    )
    if not made:
        raise LedgerExists(
            f"A ledger named {ledger.keys.name!r} exists in this Redis already; choose another name."
        )
    ledger.forget_epoch()
    return identity


def genesis_blockhash(ledger_id: str, accounts: Mapping[bytes, bytes]) -> bytes:
    """SHA-256 over the ledger's id and its first accounts: the root of the chain of blockhashes."""
    digest = hashlib.sha256(b"trunkline genesis" + ledger_id.encode())
    for key, record in sorted(accounts.items()):
        digest.update(key + len(record).to_bytes(8, "little") + record)
    return digest.digest()
