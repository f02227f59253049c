"""The samples in docs/cli.md, and whether what is really printed looks like them."""

from __future__ import annotations

import difflib
import re
import shlex
from dataclasses import dataclass

from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "cli.md"
#: What differs from one run to the next, and what it is replaced by; the order counts.
_VARIABLE = [
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"unix://\S+|redis\+socket://\S+"), "<socket>"),
    (re.compile(r"https?://127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"ws://127\.0\.0\.1:\d+"), "<websocket>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\b[1-9A-HJ-NP-Za-km-z]{32,88}\b"), "<base58>"),
    (re.compile(r"(?<![\w.])(?:\.?/|\.trunkline)[\w./-]*[\w]"), "<path>"),
    (re.compile(r"@[\w.-]+"), "@host"),
    (re.compile(r"\d[\d,]*(?:\.\d+)?"), "#"),
    (re.compile(r"\s+"), " "),
]


@dataclass(frozen=True)
class Sample:
    """A command as it is documented, and what it is said to print."""

    command: list[str]
    lines: list[str]


def samples() -> dict[str, Sample]:
    """Every sample, by the first word behind `trunkline`."""
    found = {}
    for block in re.findall(r"^```\n(.*?)^```", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            words = shlex.split(command)
            if words[0] == "trunkline":
                found[words[1]] = Sample(words[1:], lines)
    return found


def shape(line: str) -> str:
    """A line without what differs from one run to the next."""
    for pattern, replacement in _VARIABLE:
        line = pattern.sub(replacement, line)
    return line.strip()


def unlike(documented: list[str], printed: str) -> list[str]:
    """[] when `printed` looks like the sample, where a line `...` stands for any lines; else how they differ."""
    wanted = [shape(line) for line in documented]
    real = [shape(line) for line in printed.splitlines()]
    pattern = "".join(r"(?:.*\n)*" if line == "..." else re.escape(line) + "\n" for line in wanted)
    if re.fullmatch(pattern, "".join(line + "\n" for line in real)):
        return []
    return [line for line in difflib.ndiff(wanted, real) if not line.startswith("?")]
