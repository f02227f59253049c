"""The audit: whether a ledger keeps its invariants, checked beside the load."""

__all__ = ["audit"]
