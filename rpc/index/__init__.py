"""Secondary indexes in the memory of the RPC process, off the path of the commits."""

__all__ = ["accounts", "backfill", "fees", "filters", "history", "largest"]
