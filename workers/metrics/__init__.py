"""Metrics for Prometheus: what the ledger shows beside what processes counted, over HTTP, and their reference."""

__all__ = ["collector", "reference", "server"]
