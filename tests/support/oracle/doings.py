"""What users do with a ledger. Each doing makes a batch from two numbers; many of them are meant to fail at times."""

from __future__ import annotations

from collections.abc import Callable

from solders.compute_budget import request_heap_frame, set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    AllocateParams,
    AssignParams,
    AuthorizeNonceAccountParams,
    CreateAccountParams,
    TransferParams,
    WithdrawNonceAccountParams,
    advance_nonce_account,
    allocate,
    assign,
    authorize_nonce_account,
    create_account,
    create_nonce_account,
    transfer,
    withdraw_nonce_account,
)

from banking.transaction import SignedTransaction
from tests.support.oracle import instructions as make
from tests.support.oracle.instructions import rent
from tests.support.oracle.town import Town

Batch = list[SignedTransaction]
Doing = Callable[[Town, int, int], Batch]
NONCE_BYTES = 80


def _person(town: Town, number: int) -> Keypair:
    return town.people[number % len(town.people)]


def _pay(source: Keypair, target: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=source.pubkey(), to_pubkey=target, lamports=lamports))


def _account(town: Town, payer: Keypair, space: int, owner: Pubkey, account: Keypair) -> Instruction:
    return create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(), to_pubkey=account.pubkey(), lamports=rent(space), space=space, owner=owner
        )
    )


def pay(town: Town, a: int, b: int) -> Batch:
    """Transfers from one to all others: hot and conflicting accounts."""
    source = _person(town, a)
    targets = [one for one in town.people if one is not source]
    return [town.sign([_pay(source, one.pubkey(), 1_000_000 + b + i)], [source]) for i, one in enumerate(targets)]


def pay_too_much(town: Town, a: int, b: int) -> Batch:
    source = _person(town, a)
    return [town.sign([_pay(source, _person(town, a + 1).pubkey(), 10**18 + b)], [source])]


def pay_dust(town: Town, a: int, b: int) -> Batch:
    """Less than rent needs, to somebody new."""
    source = _person(town, a)
    return [town.sign([_pay(source, town.new_key().pubkey(), 1 + b % 5)], [source])]


def pay_from_nothing(town: Town, a: int, b: int) -> Batch:
    """Somebody without any account pays."""
    poor = town.new_key()
    return [town.sign([_pay(poor, _person(town, a).pubkey(), 1 + b)], [poor])]


def come_and_go(town: Town, a: int, b: int) -> Batch:
    """An account gets money and spends all of it, so that it is gone; then it comes again."""
    source, guest = _person(town, a), town.new_key()
    lamports = 2_000_000 + b
    return [
        town.sign([_pay(source, guest.pubkey(), lamports)], [source]),
        town.sign([_pay(guest, source.pubkey(), lamports - 5_000)], [guest]),
        town.sign([_pay(source, guest.pubkey(), lamports + 1)], [source]),
    ]


def pay_oneself(town: Town, a: int, b: int) -> Batch:
    source = _person(town, a)
    return [town.sign([_pay(source, source.pubkey(), 1 + b)], [source])]


def make_account(town: Town, a: int, b: int) -> Batch:
    """Up to 60 kB, owned by the System program or another."""
    payer, account = _person(town, a), town.new_key()
    town.accounts.append(account)
    owner = [make.SYSTEM, make.TOKEN, Pubkey(bytes(31) + b"\x07")][b % 3]
    return [town.sign([_account(town, payer, b % 7 * 10_000, owner, account)], [payer, account])]


def make_account_again(town: Town, a: int, b: int) -> Batch:
    """The account exists already."""
    if not town.accounts:
        return make_account(town, a, b)
    payer, account = _person(town, a), town.accounts[b % len(town.accounts)]
    return [town.sign([_account(town, payer, b % 50, make.SYSTEM, account)], [payer, account])]


def allocate_and_assign(town: Town, a: int, b: int) -> Batch:
    payer, account = _person(town, a), town.new_key()
    town.accounts.append(account)
    space = b % 1_000
    steps = [
        _pay(payer, account.pubkey(), rent(space) - b % 2),
        allocate(AllocateParams(pubkey=account.pubkey(), space=space)),
        assign(AssignParams(pubkey=account.pubkey(), owner=make.MEMO)),
    ]
    return [town.sign(steps, [payer, account])]


def remark(town: Town, a: int, b: int) -> Batch:
    """A memo, with a priority fee and limits of all sorts."""
    signer = _person(town, a)
    limits = [set_compute_unit_limit(200_000 if b % 4 else 50), set_compute_unit_price(b % 9 * 1_000_000)]
    if b % 5 == 1:
        limits.append(request_heap_frame(64 * 1024))
    return [town.sign([*limits[: b % 4], make.memo(f"remark {b}", signer.pubkey())], [signer])]


# ---- nonces


def make_nonce(town: Town, a: int, b: int) -> Batch:
    payer, nonce = _person(town, a), town.new_key()
    town.nonces.append(nonce)
    authority = _person(town, b).pubkey()
    lamports = rent(NONCE_BYTES) + 1_000_000
    return [town.sign(create_nonce_account(payer.pubkey(), nonce.pubkey(), authority, lamports), [payer, nonce])]


def _nonce(town: Town, number: int) -> tuple[Pubkey, bytes]:
    """A nonce account and its data, which may be empty."""
    key = town.nonces[number % len(town.nonces)].pubkey()
    return key, town.world.ledger.account(bytes(key))[49:]


def _authority(town: Town, data: bytes, number: int) -> Keypair:
    found = [one for one in town.people if bytes(one.pubkey()) == data[8:40]]
    return found[0] if found and number % 7 else _person(town, number)


def advancing(nonce: Pubkey, authority: Pubkey) -> Instruction:
    return advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=nonce, authorized_pubkey=authority))


def advance_nonce(town: Town, a: int, b: int) -> Batch:
    """Once, and at times again within the slot."""
    if not town.nonces:
        return make_nonce(town, a, b)
    nonce, data = _nonce(town, a)
    authority = _authority(town, data, b)
    advance = advancing(nonce, authority.pubkey())
    transactions = [town.sign([advance, make.memo(f"advance {b}", authority.pubkey())], [authority])]
    return transactions if b % 2 else [*transactions, town.sign([advance], [authority])]


def change_nonce(town: Town, a: int, b: int) -> Batch:
    """Another authority, or a withdrawal of some or all."""
    if not town.nonces:
        return make_nonce(town, a, b)
    nonce, data = _nonce(town, a)
    authority = _authority(town, data, b)
    if b % 2:
        params = AuthorizeNonceAccountParams(
            nonce_pubkey=nonce, authorized_pubkey=authority.pubkey(), new_authority=_person(town, b // 2).pubkey()
        )
        return [town.sign([authorize_nonce_account(params)], [authority])]
    lamports = 500 if b % 4 else rent(NONCE_BYTES) + 1_000_000
    withdrawal = WithdrawNonceAccountParams(
        nonce_pubkey=nonce, authorized_pubkey=authority.pubkey(), to_pubkey=authority.pubkey(), lamports=lamports
    )
    return [town.sign([withdraw_nonce_account(withdrawal)], [authority])]


def use_nonce(town: Town, a: int, b: int) -> Batch:
    """A nonce as blockhash; the same twice with different amounts; at times the transaction fails."""
    if not town.nonces:
        return make_nonce(town, a, b)
    nonce, data = _nonce(town, a)
    authority = _authority(town, data, b)
    stored = Hash.from_bytes(data[40:72]) if len(data) >= 72 else Hash.default()
    advance = advancing(nonce, authority.pubkey())
    amounts = [10**18 if b % 3 == 0 else 1_000_000 + b, 1_000_000 + b]
    target = _person(town, b + 1).pubkey()
    return [
        town.sign([advance, _pay(authority, target, amount)], [authority], blockhash=stored)
        for amount in dict.fromkeys(amounts)
    ]


# ---- tokens


def make_mint(town: Town, a: int, b: int) -> Batch:
    payer, mint = _person(town, a), town.new_key()
    program = make.TOKEN if b % 2 else make.TOKEN_2022
    town.mints.append((mint.pubkey(), program))
    steps = [
        _account(town, payer, make.MINT_BYTES, program, mint),
        make.initialize_mint(program, mint.pubkey(), town.people[0].pubkey()),
    ]
    return [town.sign(steps, [payer, mint])]


def _mint(town: Town, number: int) -> tuple[Pubkey, Pubkey]:
    return town.mints[number % len(town.mints)]


def mint_tokens(town: Town, a: int, b: int) -> Batch:
    """Token accounts for two, and tokens for one of them."""
    if not town.mints:
        return make_mint(town, a, b)
    (mint, program), issuer = _mint(town, a), town.people[0]
    owners = [_person(town, b).pubkey(), _person(town, b + 1).pubkey()]
    steps = [make.create_token_account(program, mint, owner, issuer.pubkey()) for owner in owners]
    account = make.token_address(program, mint, owners[0])
    steps.append(make.mint_to(program, mint, account, issuer.pubkey(), 1_000 + b))
    return [town.sign(steps, [issuer])]


def move_tokens(town: Town, a: int, b: int) -> Batch:
    if not town.mints:
        return make_mint(town, a, b)
    (mint, program), owner = _mint(town, a), _person(town, b)
    source, target = (make.token_address(program, mint, _person(town, b + i).pubkey()) for i in range(2))
    return [
        town.sign([make.move_tokens(program, source, target, owner.pubkey(), 1 + b % 700)], [owner]),
        town.sign([make.burn_tokens(program, source, mint, owner.pubkey(), 1 + b % 400)], [owner]),
    ]


def close_tokens(town: Town, a: int, b: int) -> Batch:
    """Everything moved away, then closed."""
    if not town.mints:
        return make_mint(town, a, b)
    (mint, program), owner = _mint(town, a), _person(town, b)
    account = make.token_address(program, mint, owner.pubkey())
    data = town.world.ledger.account(bytes(account))[49:]
    amount = int.from_bytes(data[64:72], "little")
    steps = [make.burn_tokens(program, account, mint, owner.pubkey(), amount)] if b % 4 else []
    return [town.sign([*steps, make.close_token_account(program, account, owner.pubkey())], [owner])]


DOINGS: dict[str, Doing] = {
    one.__name__: one
    for one in (
        pay,
        pay_too_much,
        pay_dust,
        pay_from_nothing,
        come_and_go,
        pay_oneself,
        make_account,
        make_account_again,
        allocate_and_assign,
        remark,
        make_nonce,
        advance_nonce,
        change_nonce,
        use_nonce,
        make_mint,
        mint_tokens,
        move_tokens,
        close_tokens,
    )
}
