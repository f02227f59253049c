"""The log of real processes: every line an object, and `grep SIGNATURE` tells a transaction's story."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.support.cli.program import environment
from tests.support.ledgers import SOL, transfer_transaction
from tests.support.paths import ROOT
from tests.support.pipelines import MakePipeline
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


def objects(text: str) -> list[dict[str, Any]]:
    """Every line, parsed; whatever is no JSON fails here."""
    return [json.loads(line) for line in text.splitlines()]


def grep(lines: list[dict[str, Any]], signature: str) -> list[dict[str, Any]]:
    return [line for line in lines if signature in json.dumps(line)]


def test_every_line_is_an_object_and_tells_the_story_at_level_debug(
    make_pipeline: MakePipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = make_pipeline(log_format="json", log_level="debug")
    worker, *_ = pipeline.start(1)
    poor = transfer_transaction(Keypair(), Keypair().pubkey(), SOL, pipeline.blockhash())
    [transaction] = pipeline.transfers(1)
    good, bad = str(transaction.parsed.signatures[0]), str(poor.signatures[0])
    with caplog.at_level(logging.DEBUG, logger="tasks.transaction_log"):
        pipeline.submitter.submit([transaction.raw, bytes(poor), b"no transaction"], wait="finalized")
    told = [(record.getMessage(), record.signatures) for record in caplog.records]  # type: ignore[attr-defined]
    assert ("Intake: 2 accepted", [good, bad]) in told
    assert ("Intake: 1 rejected", ["unreadable"]) in told

    for one in pipeline.workers:
        os.kill(one.pid, signal.SIGTERM)
    wait_until(lambda: not any(one.alive() for one in pipeline.workers), "the workers end")
    lines = objects(worker.output())
    taken, ended = grep(lines, good)
    assert taken["message"] == "Worker: 2 taken"
    assert set(taken["signatures"]) == {good, bad}
    assert (taken["process"], taken["task"]) == ("tx0@test", "transactions.process_batch")
    assert ended["outcome"] == "ok"
    assert taken["task_id"] == ended["task_id"]
    assert grep(lines, bad)[-1]["outcome"] == '"AccountNotFound"'
    maintenance = objects(pipeline.workers[1].output())
    assert [line for line in maintenance if line.get("message") == f"Sealed slot {ended['slot']}"]
    assert any("shutdown" in line["message"] for line in lines), "Celery's goodbye is a line as well"


@pytest.mark.parametrize("command", ["beat", "flower"])
def test_beat_and_flower_write_objects_too(make_pipeline: MakePipeline, tmp_path: Path, command: str) -> None:
    pipeline = make_pipeline()
    file = tmp_path / "all.log"
    options = ["--port=0", "--address=127.0.0.1"] if command == "flower" else []
    variables = {
        "TRUNKLINE_REDIS_URL": pipeline.settings.redis.url,
        "TRUNKLINE_DATA_DIR": str(pipeline.settings.data_dir),
        "TRUNKLINE_PROFILE": "prod",
        "TRUNKLINE_LOG_FILE": str(file),
        "CELERY_QUIET": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "workers.app", command, *options],
        cwd=ROOT,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_until(lambda: file.exists() and len(file.read_text().splitlines()) >= 2, "it logs")
        finally:
            process.kill()
        printed, _ = process.communicate()
    assert printed == ""
    lines = objects(file.read_text())
    assert lines[0]["message"] == f"{command} starts"
    assert {line["process"] for line in lines} == {command}


def test_a_worker_by_hand_logs_for_people_at_celerys_level(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    [worker] = [pipeline.start_worker("tx")]
    assert " ready." in worker.output()
    assert "process=tx0@test" in worker.output()
    assert '{"' not in worker.output()
    quiet = pipeline.start_worker("silent", ready=False, log_level="error")
    pipeline.submit(transactions := pipeline.transfers(1))
    pipeline.wait_settled(transactions)
    assert " ready." not in quiet.output()
