"""Lines are read one at a time, numbered as an editor numbers them."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from workers.loadgen.lines import MAX_LINE_BYTES, transaction_lines


def read(text: bytes) -> list[tuple[int, str]]:
    return list(transaction_lines(io.BytesIO(text)))


def test_blank_lines_and_comments_are_counted_and_skipped() -> None:
    assert read(b"\n# no\n  abc  \r\n\n#\nlast") == [(3, "abc"), (6, "last")]


def test_a_line_that_is_too_long_is_one_line() -> None:
    [first, second] = read(b"A" * (3 * MAX_LINE_BYTES + 5) + b"\nB\n")
    assert first == (1, "A" * MAX_LINE_BYTES)
    assert second == (2, "B")


class Endless(io.RawIOBase):
    """A file of one endless line that refuses to be read whole."""

    def __init__(self) -> None:
        self.left = 100 * MAX_LINE_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        size = min(len(view), self.left)
        assert size <= 10 * MAX_LINE_BYTES
        view[:size] = b"A" * size
        self.left -= size
        return size


def test_no_line_is_ever_in_memory_whole() -> None:
    assert read_stream(Endless()) == [(1, "A" * MAX_LINE_BYTES)]


def read_stream(raw: io.RawIOBase) -> list[tuple[int, str]]:
    return list(transaction_lines(io.BufferedReader(raw, MAX_LINE_BYTES)))


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=40)))
def test_numbers_agree_with_an_editor(lines: list[str]) -> None:
    expected = [
        (number, line.strip())
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.strip().startswith("#")
    ]
    assert read("\n".join(lines).encode()) == expected
