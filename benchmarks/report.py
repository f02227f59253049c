"""docs/performance.md, its pictures and the README's table, from `benchmarks/results.json` and from nothing else.

`python -m benchmarks report` writes them anew; a test holds them to the results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.drawings import PICTURES
from benchmarks.readme_table import table
from benchmarks.sections import SECTIONS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs" / "performance.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- figures: make bench -->", "<!-- end of figures -->"

_HEAD = """# Performance

This page and its pictures are written by `make bench` from `benchmarks/results.json`; do not edit them. Every section
names the command that reproduces it, and the day and machine of its run.

**What the figures mean.** *CPU* is the time that the operating system has booked for a process (user and system, in
steps of 10 ms), divided by the transactions of the turn: a neighbour on the same cores bends it little. *A second* is
by the wall clock, from the first send to the last outcome, the producer's work included on both sides. A *turn* is one
measured stretch of one contender; contenders take turns, each figure is the median of its turns with the least and the
most in brackets, and a ratio is taken within a turn. *Times bare* is what bare Celery (one INCR a task, late
acknowledgements) costs in units of ours. *Redis* is the whole server: broker, scripts, sockets, its file on disk.
Everything shares one machine: Redis, workers, beat, and the process that submits, which verifies every signature as the
worker does again.
"""


def load_results() -> dict[str, Any]:
    """All figures known, by part."""
    return dict(json.loads(RESULTS.read_text()))


def page(results: dict[str, Any]) -> str:
    """docs/performance.md."""
    written = [section(results[part]) for part, section in SECTIONS.items() if part in results]
    return "\n".join([_HEAD, *written])


def pictures(results: dict[str, Any]) -> dict[str, str]:
    """The pictures' SVG by file name in docs/images."""
    found: dict[str, str] = {}
    for part, draw in PICTURES.items():
        if part in results:
            found |= draw(results[part])
    return found


def with_table(readme: str, results: dict[str, Any]) -> str:
    """The README with its table between the two marks replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def write_report() -> None:
    """Write page, pictures and table."""
    results = load_results()
    PAGE.write_text(page(results))
    for name, drawn in pictures(results).items():
        (ROOT / "docs" / "images" / name).write_text(drawn)
    README.write_text(with_table(README.read_text(), results))
