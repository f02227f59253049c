"""The operator's vote account, which a genesis has so that stake can be delegated, as solana-test-validator's has one.

Nobody votes on a ledger with one operator: its blocks are final once they are archived. The account holds no votes,
pays no commission, and belongs to the key that signs the blocks.
"""

from __future__ import annotations

from solders.account import Account
from solders.pubkey import Pubkey

from banking.ledger.records import pack_account

VOTE_PROGRAM = Pubkey.from_string("Vote111111111111111111111111111111111111111")
_SEED = "vote"
_BYTES = 3_762
#: What exempts it from rent.
_LAMPORTS = 27_074_400
_VERSION = (2).to_bytes(4, "little")
_PRIOR_VOTERS = 32
_U64_ZERO = bytes(8)


def operator_vote_address(identity: Pubkey) -> Pubkey:
    """Where the vote account of the operator `identity` stands."""
    return Pubkey.create_with_seed(identity, _SEED, VOTE_PROGRAM)


def operator_vote_account(identity: Pubkey) -> dict[bytes, bytes]:
    """Key to record of the operator's vote account; `identity` may vote and withdraw."""
    key = bytes(identity)
    # In the order of Solana's VoteStateV3: node, withdrawer, commission, votes, root, the voter since epoch 0.
    state = key + key + b"\0" + _U64_ZERO + b"\0" + (1).to_bytes(8, "little") + _U64_ZERO + key
    # No voter before it: an empty ring buffer, whose place is its last one. Then neither credits nor a timestamp.
    state += bytes(48 * _PRIOR_VOTERS) + (_PRIOR_VOTERS - 1).to_bytes(8, "little") + b"\1"
    data = (_VERSION + state).ljust(_BYTES, b"\0")
    account = Account(lamports=_LAMPORTS, data=data, owner=VOTE_PROGRAM, executable=False)
    return {bytes(operator_vote_address(identity)): pack_account(account)}
