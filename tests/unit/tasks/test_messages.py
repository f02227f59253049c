"""The message of a batch: what we send is what a worker takes, and nothing else is taken."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.messages import BatchMessage, InvalidMessage


def test_a_worker_reads_what_was_sent() -> None:
    sent = BatchMessage.of([b"one", b"two"], enqueued_at=7, isolate=True)
    options = sent.send_options()
    assert options["args"] == (["b25l", "dHdv"],)
    assert options["kwargs"] == {"enqueued_at": 7, "isolate": True}
    assert BatchMessage.parse(*options["args"], **options["kwargs"]) == sent


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("b25l",), "transactions must be a list of base64 strings, not str"),
        (([], -1), "enqueued_at must be milliseconds"),
        (([], 2**53), "enqueued_at must be milliseconds"),
        (([], True), "enqueued_at must be milliseconds"),
        (([], "7"), "enqueued_at must be milliseconds"),
    ],
)
def test_other_arguments_are_refused(arguments: tuple[Any, ...], problem: str) -> None:
    with pytest.raises(InvalidMessage, match=problem):
        BatchMessage.parse(*arguments)
