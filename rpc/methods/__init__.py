"""The JSON-RPC methods, a module for each group; importing this package fills the registry."""

from rpc.methods import (
    accounts,
    blocks,
    cluster,
    fees,
    history,
    programs,
    removed,
    sandbox,
    sends,
    simulation,
    status,
    supply,
    token_accounts,
    tokens,
    votes,
)

__all__ = [
    "accounts",
    "blocks",
    "cluster",
    "fees",
    "history",
    "programs",
    "removed",
    "sandbox",
    "sends",
    "simulation",
    "status",
    "supply",
    "token_accounts",
    "tokens",
    "votes",
]
