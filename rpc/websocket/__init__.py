"""Subscriptions over websockets."""

__all__ = ["connection", "hub"]
