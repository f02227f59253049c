"""The examples do what their first lines say, run as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT


def run_example(module: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PAYMENTS_")}
    return subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.processes
@pytest.mark.real_redis
def test_payments_charge_each_card_once() -> None:
    done = run_example("examples.payments")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything as it should be." in done.stdout
    assert "34 cards were charged." in done.stdout
    assert "dead letter" in done.stdout
    assert "40 charges took 66 requests" in done.stdout  # the open breaker used up no attempt ...
    assert "closed -> open" in done.stderr  # ... and it was open


def test_outside_celery() -> None:
    done = run_example("examples.outside_celery")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Sunny in Trieste" in done.stdout
    assert "again in 0.100 s" in done.stdout  # Retry-After
    assert done.stdout.count("order, attempt") == 1
