"""What an operator does by hand in a sandbox: right, wrong, and by those who may not."""

from __future__ import annotations

from collections.abc import Callable

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.admin.set_account import set_account
from banking.execution.reserved import RESERVED
from banking.execution.sandbox_program import SANDBOX_PROGRAM
from banking.ledger.records import HEADER_SIZE, OWNER_AT
from banking.transaction import verify
from tests.support.oracle import instructions as make
from tests.support.oracle.doings import Batch
from tests.support.oracle.town import Town


def by_hand(town: Town, key: Pubkey, record: bytes) -> Batch:
    """The transactions that set `key`, in their order."""
    setting = set_account(town.world.faucet, key, record, town.world.blockhash())
    return [verify(raw) for raw in (*setting.pieces, setting.last)]


def known_keys(town: Town) -> list[Pubkey]:
    """Accounts of every kind, whether they are there or not."""
    owned = [*town.people, *town.accounts, *town.nonces, *town.programs, *town.buffers]
    keys = [one.pubkey() for one in owned]
    keys += [key for pair in town.mints for key in pair] + [table.key for table in town.tables]
    return [
        *keys,
        make.TOKEN,
        make.TOKEN_2022,
        SANDBOX_PROGRAM,
        town.world.faucet.pubkey(),
        Pubkey(sorted(RESERVED)[3]),
    ]


def set_by_hand(town: Town, a: int, b: int) -> Batch:
    """An account becomes like another one, or nothing, or large, or a program without code."""
    keys = known_keys(town)
    key = keys[a % len(keys)] if a % 5 else town.new_key().pubkey()
    other = town.world.ledger.account(bytes(keys[b % len(keys)]))
    plain = (2_000_000 + b).to_bytes(8, "little") + bytes(9 + 32)
    kinds = {
        0: other,
        1: b"",
        2: plain + bytes([b % 256]) * (b % 900),
        3: plain + bytes(range(256)) * 6,
        4: plain[:16] + b"\1" + other[OWNER_AT:HEADER_SIZE] + b"no code" if other else b"",
        5: (other[:8] + bytes(8) + other[16:]) if other else plain,
    }
    return by_hand(town, key, kinds[b % len(kinds)])


def odd_hand(town: Town, a: int, b: int) -> Batch:
    """Instructions of the sandbox program that are wrong in some way, or that somebody else signs."""
    faucet, person = town.world.faucet, town.people[b % len(town.people)]
    keys = known_keys(town)
    target, buffer = keys[a % len(keys)], keys[(a + b) % len(keys)]
    plain = (2_000_000 + a).to_bytes(8, "little") + bytes(9 + 32)
    datas = [
        b"",
        bytes(9) + plain,
        bytes(9) + bytes(8) + plain[8:],
        bytes(9) + (2**62).to_bytes(8, "little") + plain[8:],
        bytes(9) + plain[:16] + b"\7" + plain[17:],
        b"\1" + bytes(8) + (100).to_bytes(4, "little") + (b % 120).to_bytes(4, "little") + bytes(b % 40),
        b"\1" + bytes(12),
        b"\2" + bytes(8) + plain,
        b"\2" + bytes(8) + plain[:9],
        b"\3" + bytes(60),
    ]
    metas = [
        AccountMeta(target, is_signer=False, is_writable=bool(a % 7)),
        AccountMeta(buffer, is_signer=False, is_writable=bool(b % 7)),
    ]
    signers: dict[int, list[Keypair]] = {0: [person], 1: [person, faucet]}
    signed_by = signers.get(a % 4, [faucet])
    authority = AccountMeta(signed_by[-1].pubkey(), is_signer=True, is_writable=bool(a % 6))
    data = datas[b % len(datas)] + (bytes([a % 256]) if a % 11 == 0 else b"")
    instructions = [Instruction(SANDBOX_PROGRAM, data, [authority, *metas][: 3 if a % 9 else 2])]
    town.serial += 1
    # Two in one, so that the second one's fault takes the first one back; and never the same twice.
    unique = bytes([0]) + town.serial.to_bytes(8, "little") + plain
    own = AccountMeta(faucet.pubkey(), is_signer=faucet in signed_by, is_writable=True)
    fresh = AccountMeta(town.new_key().pubkey(), is_signer=False, is_writable=True)
    instructions.insert(a % 2, Instruction(SANDBOX_PROGRAM, unique, [own, fresh]))
    return [town.sign(instructions, signed_by)]


SANDBOX_DOINGS: dict[str, Callable[[Town, int, int], Batch]] = {"set by hand": set_by_hand, "odd hand": odd_hand}
