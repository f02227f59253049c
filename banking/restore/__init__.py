"""Comparing the ledger with its archive, checkpointing it, and restoring it under a new epoch."""
