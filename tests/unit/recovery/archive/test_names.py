from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from recovery.archive import InvalidName, MemoryArchive, folder_segment

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=22) | st.from_regex(
    r"[a-zA-Z0-9_-]{1,64}", fullmatch=True
)


@given(TEXTS, TEXTS)
def test_different_texts_get_different_folders(left: str, right: str) -> None:
    assert (folder_segment(left) == folder_segment(right)) == (left == right)


@given(TEXTS)
def test_every_folder_made_of_a_text_is_accepted(text: str) -> None:
    archive = MemoryArchive()
    archive.put(f"{folder_segment(text)}/x.blk", b"")
    assert archive.folders() == [folder_segment(text)]


@pytest.mark.parametrize(("text", "segment"), [("main", "main"), ("Main", "x--4d61696e"), ("x--61", "x--782d2d3631")])
def test_plain_texts_stay_readable(text: str, segment: str) -> None:
    assert folder_segment(text) == segment


@pytest.mark.parametrize("text", ["", "ä" * 100])
def test_empty_and_oversized_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        folder_segment(text)
