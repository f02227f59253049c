"""Subscriptions over websockets."""
