"""What Trunkline sets in a Flower process, and what it leaves to those who chose otherwise."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tornado.options import OptionParser

from config.queues import PROCESS_BATCH
from workers.flower_process import DEFAULTS, apply_defaults, readable


@pytest.fixture
def options() -> OptionParser:
    """Flower's own options, as they are before anybody has set one."""
    from flower.options import default_options

    fresh = OptionParser()
    for option in default_options._options.values():
        if option.name not in fresh:
            fresh.define(option.name, default=option.default, type=option.type, multiple=option.multiple)
    return fresh


def test_what_nobody_chose_gets_our_defaults(options: Any) -> None:
    apply_defaults(options)
    assert {name: options[name] for name in DEFAULTS} == DEFAULTS


def test_what_somebody_chose_stays(options: Any) -> None:
    options.parse_command_line(["flower", "--address=0.0.0.0", "--max_tasks=5", "--tasks_columns=name"])
    apply_defaults(options)
    assert (options.address, options.max_tasks, options.tasks_columns) == ("0.0.0.0", 5, "name")
    assert options.purge_offline_workers == DEFAULTS["purge_offline_workers"]


@pytest.mark.parametrize(
    ("state", "result", "exception", "shown"),
    [
        ("SUCCESS", "'64 committed'", None, "64 committed"),
        ("FAILURE", None, "DeadLettered('1 malformed')", "DeadLettered('1 malformed')"),
        ("STARTED", None, None, None),
        ("RETRY", None, "CircuitOpenError('open')", None),
    ],
)
def test_a_task_says_what_it_came_to(state: str, result: str | None, exception: str | None, shown: str | None) -> None:
    task = SimpleNamespace(name=PROCESS_BATCH, state=state, result=result, exception=exception)
    told = readable(task)
    assert (told.state, told.result) == (state, shown)


def test_a_batch_with_on_chain_errors_is_no_plain_success() -> None:
    result = "'64 committed; 2 failed on chain (2 InstructionError.Custom); in slot 7: 100-163'"
    task = SimpleNamespace(name=PROCESS_BATCH, state="SUCCESS", result=result, exception=None)
    assert readable(task).state == "2 FAILED ON CHAIN"
    other = SimpleNamespace(name="mine", state="SUCCESS", result=result, exception=None)
    assert readable(other).state == "SUCCESS"
