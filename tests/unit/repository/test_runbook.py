"""Every alert has an entry in the runbook, and the runbook has no other."""

from __future__ import annotations

import re

from tests.support.paths import ROOT
from workers.overview.alerts import ALERTS


def test_every_alert_has_its_entry() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)
    assert headings == [alert.name for alert in ALERTS]


def test_an_entry_says_what_it_means_and_what_to_do() -> None:
    entries = (ROOT / "docs" / "runbook.md").read_text().split("\n## ")[1:]
    assert [entry.split("\n", 1)[0] for entry in entries if "**Means**" not in entry or "**Do**" not in entry] == []
