"""Accounts, transactions and blocks in the JSON shapes of Solana's RPC."""
