"""The workflow of the hosted gate: it runs `.ci/run` where the packages of `.ci/packages` can be installed."""

from __future__ import annotations

from typing import Any

import yaml

from tests.support.paths import ROOT


def test_the_gate_runs_where_its_packages_are() -> None:
    """They are Debian's names: `chromium-driver` is in no other distribution's index."""
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    [job] = workflow["jobs"].values()
    assert job["container"]["image"] == "python:${{ matrix.python }}-bookworm"
    # Network namespaces, for the test of a second host.
    assert "--privileged" in job["container"]["options"].split()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert job["strategy"]["matrix"]["python"][0] == "3.11"


def test_pre_commit_checks_what_the_gate_checks() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entries = {hook["entry"] for hook in hooks}
    assert entries == {".venv/bin/ruff format", ".venv/bin/ruff check --fix", ".venv/bin/mypy"}
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in lint.splitlines()[1:]] == ["$(BIN)/ruff", "$(BIN)/ruff", "$(BIN)/mypy"]
