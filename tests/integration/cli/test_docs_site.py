"""The documents as a site: it is built without a warning, and has what a reader looks for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text())


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("index.html", ["You enqueue transactions", "You watch them", "You scale workers"]),
        ("api/recovery.html", ["CircuitBreaker", "How often and how patiently to try", "max_attempts"]),
        ("api/tasks.html", ["submit", "SubmissionFailed", "Receipt"]),
        ("configuration.html", ["TRUNKLINE_REDIS_URL"]),
        ("runbook.html", ["TrunklineRedisAway"]),
        ("decisions/index.html", ["0034"]),
    ],
)
def test_a_page_has_what_is_looked_for(site: Path, page: str, words: list[str]) -> None:
    shown = text_of(site / page)
    assert [word for word in words if word not in shown] == []


def test_no_link_leads_out_of_the_site_or_nowhere(site: Path) -> None:
    missing = []
    for page in site.rglob("*.html"):
        for target in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text()):
            is_elsewhere = page.name == "404.html" or ":" in target
            if not is_elsewhere and not (page.parent / target).exists():
                missing.append(f"{page.relative_to(site)}: {target}")
    assert missing == []
