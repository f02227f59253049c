"""Why a transaction was not taken, or not taken again: for programs to compare, where a text is for people."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Travels with what refuses a transaction; the values are stable."""

    #: The bytes are no acceptable transaction; they will never be.
    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    UNSUPPORTED_VERSION = "unsupported-version"
    SIGNATURE_FAILURE = "signature-failure"

    #: A duplicate: accepted before and not resolved yet, resolved, or given up.
    PENDING = "pending"
    PROCESSED = "processed"
    DEAD_LETTER = "dead-letter"

    #: Accepted, and then refused without a fee: the same bytes may be submitted again while their blockhash lives.
    REFUSED = "refused"

    #: Nothing speaks against the transaction; it may be submitted again later.
    INTAKE_FULL = "intake-full"
    ARCHIVE_BEHIND = "archive-behind"
    DEAD_LETTERS_FULL = "dead-letters-full"
    DEGRADED = "degraded"
