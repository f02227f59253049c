"""What can keep the oracle from an opinion."""

from __future__ import annotations


class OracleError(Exception):
    """The oracle cannot go on; this is not a verdict on the ledger."""


class BadArchive(OracleError):
    """A block is missing, damaged, forged, or not the child of the one before it."""
