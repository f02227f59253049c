"""Blocks: closing a slot, and writing it to the archive, chained and signed."""

__all__ = ["block", "sealer", "store"]
