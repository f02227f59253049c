"""Boot steps of a worker: verify the ledger before the first message, pause queues that are gated."""

__all__ = ["heartbeat", "queue_pause", "restore"]
