"""Figures in documents: the report is what the results say; a section with figures names what reproduces them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import PAGE, README, load_results, page, pictures, with_table
from tests.support.paths import ROOT

#: Microseconds, rates, and what calls itself measured.
_FIGURE = re.compile(
    r"\d\s?(?:µs|us)\b|\d (?:transactions|transfers|accounts|requests|jobs) a second\b|requests/s|^## Measured",
    re.MULTILINE,
)
_COMMAND = re.compile(
    r"`(?:make (?:bench|soak)|(?:\.venv/bin/)?python -m (?:benchmarks|pytest|tests)|trunkline )[^`]*`"
)


def documents() -> list[Path]:
    """Those that promise something; records of decisions say what was measured when they were made."""
    return [README, ROOT / "recovery" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def sections(text: str) -> Iterator[tuple[str, str]]:
    """(heading, text) of each section of the second level."""
    for part in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        yield part.partition("\n")[0], part


def unsourced(text: str) -> list[str]:
    """The headings of sections that have figures, and no command that reproduces them."""
    return [heading for heading, body in sections(text) if _FIGURE.search(body) and not _COMMAND.search(body)]


def test_every_figure_names_its_command() -> None:
    found = {path.name: unsourced(path.read_text()) for path in documents()}
    assert {name: headings for name, headings in found.items() if headings} == {}


def test_a_figure_without_a_command_is_found() -> None:
    text = (
        "# A\n## Fast\nIt takes 3 us.\n## Faster\n2 us (`make bench`)\n## Words\nnone\n## Rate\n9,000 jobs a second\n"
    )
    assert unsourced(text) == ["## Fast", "## Rate"]


def test_the_report_is_of_the_results() -> None:
    """`python -m benchmarks report` writes them anew."""
    results = load_results()
    assert PAGE.read_text() == page(results)
    assert README.read_text() == with_table(README.read_text(), results)
    drawn = pictures(results)
    assert {name: (ROOT / "docs/images" / name).read_text() for name in drawn} == drawn


def test_every_part_of_the_results_tells_day_and_machine() -> None:
    for part, figures in load_results().items():
        assert {"on", "cores", "python", "system"} <= set(figures["about"]), part
