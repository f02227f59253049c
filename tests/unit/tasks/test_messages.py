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


def test_a_batch_is_named_by_its_id() -> None:
    sent = BatchMessage.of_batch(bytes(range(16)), 64, enqueued_at=7)
    options = sent.send_options()
    assert options["args"] == ([],)
    assert options["argsrepr"] == "(64 transactions)"
    assert BatchMessage.parse(*options["args"], **options["kwargs"]) == sent


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (([], 0, False, "xyz", 1), "batch must be an id in hexadecimal"),
        (([], 0, False, "00", 1), "batch must be 16 bytes"),
        (([], 0, False, 7, 1), "batch must be an id in hexadecimal"),
        ((["b25l"], 0, False, "00" * 16, 1), "batch must be 16 bytes in hexadecimal, and alone"),
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
