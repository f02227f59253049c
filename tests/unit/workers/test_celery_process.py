"""The processes of an instance run Celery's worker and beat without what else its command line imports."""

from __future__ import annotations

import subprocess
import sys

from celery.bin.beat import beat
from celery.bin.worker import worker

from tests.support.paths import ROOT
from workers.celery_process import celery


def test_neither_flower_nor_its_web_server_is_imported() -> None:
    code = "import sys, workers.celery_process as it; print({'flower', 'tornado', 'prompt_toolkit'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"


def test_its_commands_are_those_of_celery() -> None:
    assert celery.commands == {"worker": worker, "beat": beat}
