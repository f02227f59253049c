"""Accepted transactions that have no outcome yet, and the dead letters of those that were given up."""

__all__ = ["dead_letters", "intake", "reasons"]
