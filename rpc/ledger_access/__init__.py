"""Reading the ledger from the event loop: Redis, the chain's end, the journal, blocks, the accounts of the VM alone."""

__all__ = ["archived_blocks", "blocks", "chain", "follower", "mints", "native", "performance", "reader", "rent"]
