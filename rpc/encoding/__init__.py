"""Accounts, transactions and blocks in the JSON shapes of Solana's RPC."""

__all__ = [
    "accounts",
    "blocks",
    "error_text",
    "instruction",
    "memo",
    "simulation",
    "text",
    "token_layout",
    "transactions",
]
