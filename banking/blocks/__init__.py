"""Blocks: closing a slot, and writing it to the archive, chained and signed."""

from banking.blocks.block import Block, BlockHeader
from banking.blocks.sealer import Sealed, Sealer
from banking.blocks.store import BlockStore

__all__ = ["Block", "BlockHeader", "BlockStore", "Sealed", "Sealer"]
