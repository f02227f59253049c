"""Accounts, transactions and blocks in the JSON shapes of Solana's RPC."""

__all__ = ["accounts", "blocks", "error_text", "memo", "simulation", "token_layout", "transactions"]
