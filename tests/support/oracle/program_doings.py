"""What users do with programs, lookup tables and sysvars; see `doings`."""

from __future__ import annotations

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import (
    CloseLookupTableParams,
    CreateAccountParams,
    CreateLookupTableParams,
    DeactivateLookupTableParams,
    ExtendLookupTableParams,
    TransferParams,
    close_lookup_table,
    create_account,
    create_lookup_table,
    deactivate_lookup_table,
    extend_lookup_table,
    transfer,
)

from tests.support.oracle import instructions as make
from tests.support.oracle import sbpf
from tests.support.oracle.doings import Batch, Doing
from tests.support.oracle.instructions import rent
from tests.support.oracle.town import Town

#: Room for every program of `sbpf`, so that each can be upgraded to each.
CODE_BYTES = 1_100
BUFFER_HEAD, DATA_HEAD, PROGRAM_BYTES = 37, 45, 36


def code(number: int) -> bytes:
    """One of some programs that all tell something else."""
    kinds = [sbpf.telling(number), sbpf.counting(number + 1), sbpf.peeking(32 + number % 900), sbpf.failing(number + 1)]
    return kinds[number % len(kinds)]


def _create(payer: Keypair, account: Keypair, space: int, owner: Pubkey) -> Instruction:
    return create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(), to_pubkey=account.pubkey(), lamports=rent(space), space=space, owner=owner
        )
    )


def fill_buffer(town: Town, content: bytes) -> tuple[Keypair, Batch]:
    """A buffer with code in it."""
    authority, buffer = town.people[0], town.new_key()
    town.buffers.append(buffer)
    space = BUFFER_HEAD + CODE_BYTES
    make_it = [
        _create(authority, buffer, space, make.LOADER),
        make.initialize_buffer(buffer.pubkey(), authority.pubkey()),
    ]
    # Two writes: one packet has no room for all.
    half = len(content) // 2
    writes = [make.write_buffer(buffer.pubkey(), authority.pubkey(), content[:half])]
    writes.append(make.write_buffer(buffer.pubkey(), authority.pubkey(), content[half:], half))
    transactions = [town.sign(make_it, [authority, buffer]), *(town.sign(write, [authority]) for write in writes)]
    return buffer, transactions


def deploy_program(town: Town, a: int, b: int) -> Batch:
    program = town.new_key()
    town.programs.append(program)
    return deploy_code(town, code(b) if a % 7 else b"\x7fELF no program at all", program)


def deploy_code(town: Town, content: bytes, program: Keypair) -> Batch:
    """A new program with this code."""
    authority = town.people[0]
    buffer, transactions = fill_buffer(town, content)
    steps = [
        _create(authority, program, PROGRAM_BYTES, make.LOADER),
        make.deploy(program.pubkey(), buffer.pubkey(), authority.pubkey(), CODE_BYTES),
    ]
    return [*transactions, town.sign(steps, [authority, program])]


def _program(town: Town, number: int) -> Pubkey:
    return town.programs[number % len(town.programs)].pubkey() if town.programs else make.MEMO


def upgrade_program(town: Town, a: int, b: int) -> Batch:
    if not town.programs:
        return deploy_program(town, 1, b)
    authority = town.people[0]
    buffer, transactions = fill_buffer(town, code(b))
    step = make.upgrade(_program(town, a), buffer.pubkey(), authority.pubkey())
    return [*transactions, town.sign([step], [authority])]


def end_program(town: Town, a: int, b: int) -> Batch:
    authority = town.people[0]
    return [town.sign([make.close_program(_program(town, a), authority.pubkey())], [authority])]


def make_counter(town: Town, a: int, b: int) -> Batch:
    """An account of a program."""
    if not town.programs:
        return deploy_program(town, 1, 1)
    payer, counter, program = town.people[b % len(town.people)], town.new_key(), _program(town, a)
    town.counters.append((counter.pubkey(), program))
    return [town.sign([_create(payer, counter, 2_000, program)], [payer, counter])]


def call_program(town: Town, a: int, b: int) -> Batch:
    """With its counter, writable or not, twice, or with an account that does not exist."""
    if not town.counters:
        return make_counter(town, a, b)
    payer = town.people[b % len(town.people)]
    counter, program = town.counters[a % len(town.counters)]
    shapes = [
        [(counter, "w")],
        [(counter, "")],
        [(counter, "w"), (counter, "w")],
        [(town.new_key().pubkey(), "w"), (counter, "w")],
        [(counter, "w"), (payer.pubkey(), "sw")],
    ]
    shape = shapes[b % len(shapes)]
    instruction = make.call(program, b"", *shape)
    memo = make.memo(f"call {b}", payer.pubkey())
    return [town.sign([instruction, memo, instruction][: 1 + b % 3], [payer])]


def call_through(town: Town, a: int, b: int) -> Batch:
    """A program that calls another one, which may be upgraded or closed by then."""
    if town.caller is None or b % 11 == 0:
        town.caller = town.new_key()
        return deploy_code(town, sbpf.calling(), town.caller)
    payer = town.people[b % len(town.people)]
    call = make.call(town.caller.pubkey(), b"", (_program(town, a), ""))
    return [town.sign([call, make.memo(f"through {b}", payer.pubkey())], [payer])]


def call_nothing(town: Town, a: int, b: int) -> Batch:
    """A program that does not exist, or is none."""
    payer = town.people[a % len(town.people)]
    targets = [town.new_key().pubkey(), town.people[(a + 1) % 4].pubkey(), make.RENT, make.SYSTEM]
    instruction = make.call(targets[b % 4], b"", (payer.pubkey(), "sw"))
    return [town.sign([make.memo(f"nothing {b}", payer.pubkey()), instruction], [payer])]


def call_dormant(town: Town, a: int, b: int) -> Batch:
    """What belongs to a loader, and has no code: a buffer, a program account that was never deployed to, code."""
    payer = town.people[a % len(town.people)]
    if not town.buffers or b % 5 == 0:
        return fill_buffer(town, code(b))[1]
    account = town.new_key()
    town.buffers.append(account)
    targets = [town.buffers[a % len(town.buffers)].pubkey(), make.program_data(_program(town, a)), account.pubkey()]
    call = make.call(targets[b % 3], b"", (payer.pubkey(), "sw"))
    empty = _create(payer, account, PROGRAM_BYTES, make.LOADER)
    return [
        town.sign([empty], [payer, account]),
        town.sign([make.memo(f"dormant {b}", payer.pubkey()), call], [payer]),
        town.sign([call, make.memo(f"dormant {b}", payer.pubkey())], [payer]),
    ]


def write_reserved(town: Town, a: int, b: int) -> Batch:
    """Name a reserved key as writable: pay to it, or call a program with it."""
    payer, key = town.people[a % len(town.people)], make.RESERVED[b % len(make.RESERVED)]
    if b % 2:
        params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=key, lamports=1_000_000 + b)
        return [town.sign([transfer(params)], [payer])]
    call = make.call(_program(town, a), b"", (key, "w"))
    return [town.sign([call, make.memo(f"reserved {b}", payer.pubkey())], [payer])]


def look_at_sysvar(town: Town, a: int, b: int) -> Batch:
    """What a program sees there is in the outcome."""
    if not town.programs:
        return deploy_program(town, 1, 2)
    payer, key = town.people[a % len(town.people)], make.SYSVARS[b % len(make.SYSVARS)]
    memo = make.memo(f"look {b}", payer.pubkey())
    return [town.sign([make.call(_program(town, a), b"", (key, "")), memo], [payer])]


# ---- lookup tables


def make_table(town: Town, a: int, b: int) -> Batch:
    owner = town.people[0]
    slot = town.world.ledger.state().slot - 1 - b % 2
    params = CreateLookupTableParams(
        recent_slot=max(0, slot), authority_address=owner.pubkey(), payer_address=owner.pubkey()
    )
    instruction, table = create_lookup_table(params)
    targets = [*(one.pubkey() for one in town.people), *(town.new_key().pubkey() for _ in range(2)), make.CLOCK]
    town.tables.append(AddressLookupTableAccount(table, targets))
    extend = extend_lookup_table(
        ExtendLookupTableParams(
            lookup_table_address=table,
            authority_address=owner.pubkey(),
            payer_address=owner.pubkey(),
            new_addresses=targets,
        )
    )
    return [town.sign([instruction], [owner]), town.sign([extend], [owner])]


def use_table(town: Town, a: int, b: int) -> Batch:
    """Pay to an address that only the table names; fails in the slot in which it was extended."""
    if not town.tables:
        return make_table(town, a, b)
    table, source = town.tables[a % len(town.tables)], town.people[b % len(town.people)]
    target = table.addresses[b % len(table.addresses)]
    params = TransferParams(from_pubkey=source.pubkey(), to_pubkey=target, lamports=2_000_000 + b)
    return [town.sign([transfer(params)], [source], tables=[table])]


def end_table(town: Town, a: int, b: int) -> Batch:
    """Deactivate it, or close it, which takes 513 slots after that."""
    if not town.tables:
        return make_table(town, a, b)
    owner, table = town.people[0].pubkey(), town.tables[a % len(town.tables)].key
    instruction = (
        deactivate_lookup_table(DeactivateLookupTableParams(lookup_table_address=table, authority_address=owner))
        if b % 3
        else close_lookup_table(
            CloseLookupTableParams(lookup_table_address=table, authority_address=owner, recipient_address=owner)
        )
    )
    return [town.sign([instruction, make.memo(f"table {b}", owner)], [town.people[0]])]


PROGRAM_DOINGS: dict[str, Doing] = {
    one.__name__: one
    for one in (
        deploy_program,
        upgrade_program,
        end_program,
        make_counter,
        call_program,
        call_through,
        call_nothing,
        call_dormant,
        write_reserved,
        look_at_sysvar,
        make_table,
        use_table,
        end_table,
    )
}
