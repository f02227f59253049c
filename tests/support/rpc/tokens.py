"""SPL Token instructions for tests."""

from __future__ import annotations

from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from rpc.encoding.token_layout import TOKEN_PROGRAM
from tests.support.ledgers import sign
from tests.support.rpc.node import Node

_MINT_BYTES, _ACCOUNT_BYTES = 82, 165


@dataclass(frozen=True)
class Tokens:
    """A mint with 6 decimals, owned by the faucet, and two token accounts of `owner`, the first with 5 tokens."""

    mint: Pubkey
    owner: Keypair
    first: Pubkey
    second: Pubkey
    delegate: Pubkey


def make_tokens(node: Node) -> Tokens:
    """Make them, with 2 tokens of the first account approved for a delegate."""
    faucet, mint, first, second = node.world.faucet, Keypair(), Keypair(), Keypair()
    owner, delegate = Keypair(), Pubkey.new_unique()
    node.pay(owner.pubkey(), 10**9)
    authority = faucet.pubkey()
    make_mint = [
        _create(node, faucet, mint, _MINT_BYTES),
        _call(b"\x14\x06" + bytes(authority) + b"\x00", (mint.pubkey(), True, False)),
    ]
    node.commit(sign(make_mint, [faucet, mint], node.blockhash()))
    make_accounts = []
    for account in (first, second):
        make_accounts.append(_create(node, faucet, account, _ACCOUNT_BYTES))
        init = b"\x12" + bytes(owner.pubkey())
        make_accounts.append(_call(init, (account.pubkey(), True, False), (mint.pubkey(), False, False)))
    node.commit(sign(make_accounts, [faucet, first, second], node.blockhash()))
    mint_to = (5_000_000).to_bytes(8, "little")
    approve = (2_000_000).to_bytes(8, "little")
    node.commit(
        sign(
            [
                _call(
                    b"\x07" + mint_to,
                    (mint.pubkey(), True, False),
                    (first.pubkey(), True, False),
                    (authority, False, True),
                ),
                _call(
                    b"\x04" + approve,
                    (first.pubkey(), True, False),
                    (delegate, False, False),
                    (owner.pubkey(), False, True),
                ),
            ],
            [faucet, owner],
            node.blockhash(),
        )
    )
    return Tokens(mint.pubkey(), owner, first.pubkey(), second.pubkey(), delegate)


def transfer_tokens(node: Node, tokens: Tokens, amount: int) -> VersionedTransaction:
    """The transfer from the first to the second account."""
    accounts = (tokens.first, True, False), (tokens.second, True, False), (tokens.owner.pubkey(), False, True)
    instruction = _call(b"\x03" + amount.to_bytes(8, "little"), *accounts)
    return sign([instruction], [tokens.owner], node.blockhash())


def move_tokens(node: Node, tokens: Tokens, amount: int) -> str:
    """Transfer from the first to the second account; returns the signature."""
    (transaction,) = node.commit(transfer_tokens(node, tokens, amount))
    return str(transaction.parsed.signatures[0])


def close_second(node: Node, tokens: Tokens) -> None:
    """Close the second account, which must be empty."""
    accounts = (tokens.second, True, False), (tokens.owner.pubkey(), True, False), (tokens.owner.pubkey(), False, True)
    node.commit(sign([_call(b"\x09", *accounts)], [tokens.owner], node.blockhash()))


def _call(data: bytes, *accounts: tuple[Pubkey, bool, bool]) -> Instruction:
    metas = [AccountMeta(key, is_signer=signer, is_writable=writable) for key, writable, signer in accounts]
    return Instruction(TOKEN_PROGRAM, data, metas)


def _create(node: Node, payer: Keypair, account: Keypair, space: int) -> Instruction:
    return create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(),
            to_pubkey=account.pubkey(),
            lamports=node.rpc.context.ledger.native.minimum_balance(space),
            space=space,
            owner=TOKEN_PROGRAM,
        )
    )
