"""Comparing the ledger with its archive, checkpointing it, and restoring it under a new epoch."""

__all__ = ["attestation", "checkpointing", "consistency", "ledger_recovery", "replay", "snapshot"]
