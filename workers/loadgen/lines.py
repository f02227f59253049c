"""Lines of a file or a pipe, of which no more than one is ever in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

#: Longer than any transaction in base64 or base58.
MAX_LINE_BYTES = 4096


def transaction_lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """(line number from 1, text) of every line that is neither blank nor a comment (#).

    A line that is too long to be a transaction is cut, so that it is judged, and refused, all the same.
    """
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        piece = line
        while not piece.endswith(b"\n") and (piece := stream.readline(MAX_LINE_BYTES)):
            pass
        text = line.decode("ascii", errors="replace").strip()
        if text and not text.startswith("#"):
            yield number, text
