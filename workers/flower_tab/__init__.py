"""Flower's tab Resilience: its pages, its data, and the requests by which an operator changes something."""

__all__ = ["extension"]
