"""Solana's JSON-RPC and websocket server over the ledger."""

__all__ = ["runner"]
