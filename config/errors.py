"""Errors that a person can mend; the command line prints them without a traceback."""

from __future__ import annotations


class TrunklineError(Exception):
    """Base of every error that Trunkline raises on purpose. The message says what to do."""


class ConfigurationError(TrunklineError):
    """A setting is missing or wrong."""
