"""The first block of a ledger: who owns all the lamports there will ever be."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping

from solders.account import Account
from solders.pubkey import Pubkey

from banking.blocks.block import GENESIS_PARENT, BlockHeader, encode_body
from banking.blocks.store import BlockStore
from banking.errors import Diverged, LedgerExists
from banking.execution.vm import bundled_programs
from banking.ledger.journal import JournalEntry
from banking.ledger.layout import LAYOUT
from banking.ledger.ledger import Ledger
from banking.ledger.records import Result, lamports_of, pack_account, pack_result
from banking.ledger.scripts import CREATE
from banking.ledger.stored_account import stored
from banking.ledger.versions import restored

FIRST_EPOCH = 1
#: The mint of wrapped SOL for SPL Token and for Token-2022.
NATIVE_MINTS = {
    Pubkey.from_string("So11111111111111111111111111111111111111112"): Pubkey.from_string(
        "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
    ),
    Pubkey.from_string("9pan9bMn5HatX4EJdBwg9VgCa7Uz5HL8N1m5D3NdXej9"): Pubkey.from_string(
        "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
    ),
}
#: Exempts 82 bytes from rent.
_MINT_LAMPORTS = 1_461_600


def genesis_accounts(faucet: Pubkey, lamports: int) -> dict[bytes, bytes]:
    """The faucet with `lamports`, the BPF programs that come with the VM, the mints of wrapped SOL; key to record."""
    accounts = dict(bundled_programs()) | native_mints()
    owner = Pubkey.default()
    accounts[bytes(faucet)] = pack_account(Account(lamports=lamports, data=b"", owner=owner, executable=False))
    return accounts


def native_mints() -> dict[bytes, bytes]:
    """The mints of wrapped SOL, which every Solana cluster has from its genesis; key to record."""
    # No authority, no supply (native SOL is not counted), 9 decimals, initialized, no freeze authority.
    data = bytes(44) + b"\x09\x01" + bytes(36)
    accounts = {}
    for mint, program in NATIVE_MINTS.items():
        account = Account(lamports=_MINT_LAMPORTS, data=data, owner=program, executable=False)
        accounts[bytes(mint)] = pack_account(account)
    return accounts


def create_ledger(ledger: Ledger, blocks: BlockStore, accounts: Mapping[bytes, bytes]) -> str:
    """Archive the genesis block, make the ledger from it and open slot 1; returns the ledger's id.

    Raises LedgerExists (in Redis, or only in the archive: then it is to be restored, not made anew),
    LedgerUnavailable, ArchiveWriteError, and ValueError when the supply does not fit 63 bits.
    """
    if ledger.exists():
        raise LedgerExists(f"A ledger named {ledger.name!r} exists in this Redis already; choose another name.")
    supply = sum(map(lamports_of, accounts.values()))
    if supply >= 2**63:
        raise ValueError(f"a supply of {supply} lamports does not fit: it must stay below 2^63")
    ordered = dict(sorted(accounts.items()))
    header, body = genesis_block(secrets.token_hex(16), supply, ordered, ledger.server_ms())
    try:
        blocks.put(header, body)
    except Diverged:
        raise LedgerExists(
            f"The archive holds a ledger named {ledger.name!r} that this Redis has lost. Start a worker to "
            "restore it, or drop it with `trunkline ledger drop`."
        ) from None
    flat = [part for key, record in ordered.items() for part in (key, stored(record, header.last_seq))]
    made = ledger.run(
        CREATE,
        [
            FIRST_EPOCH,
            header.ledger_id,
            supply,
            header.hash(),
            LAYOUT,
            restored(header.last_seq, FIRST_EPOCH),
            header.time_ms,
            *flat,
        ],
        epoch=FIRST_EPOCH,
    )
    if not made:
        raise LedgerExists(f"A ledger named {ledger.name!r} was made by somebody else just now.")
    ledger.forget_epoch()
    return header.ledger_id


def genesis_block(
    ledger_id: str,
    supply: int,
    accounts: Mapping[bytes, bytes],
    time_ms: int,
    *,
    slot: int = 0,
    parent: bytes = GENESIS_PARENT,
) -> tuple[BlockHeader, bytes]:
    """Header and body of a block that makes `accounts`; a large genesis is a chain of them, from slot 0 on."""
    seq = slot + 1
    value = f"{slot}:{seq}:".encode() + pack_result(Result(None, 0, 0, []))
    body = encode_body([JournalEntry(slot, seq, b"", value, 0, b"", b"".join(sorted(accounts)))], accounts)
    header = BlockHeader(
        ledger_id=ledger_id,
        supply=supply,
        epoch=FIRST_EPOCH,
        slot=slot,
        parent=parent,
        first_seq=seq,
        last_seq=seq,
        time_ms=time_ms,
        processed=0,
        failed=0,
        burned=0,
        body_bytes=len(body),
        body_sha256=hashlib.sha256(body).digest(),
    )
    return header, body
