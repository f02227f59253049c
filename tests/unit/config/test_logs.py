"""What a log line looks like, and where it goes."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from config.errors import ConfigurationError
from config.logs import configure_command, configure_process, log_format
from config.sections import LogFormat
from config.settings import Profile, Settings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        handler.close()
    root.handlers[:], root.level = handlers, level
    sys.excepthook = hook
    logging.captureWarnings(False)
    structlog.reset_defaults()


def settings(**values: Any) -> Settings:
    return Settings.from_variables(**values)


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("profile", "asked", "form"),
    [
        (Profile.DEV, "auto", LogFormat.CONSOLE),
        (Profile.STAGING, "auto", LogFormat.JSON),
        (Profile.PROD, "auto", LogFormat.JSON),
        (Profile.PROD, "CONSOLE", LogFormat.CONSOLE),
        (Profile.DEV, "json", LogFormat.JSON),
    ],
)
def test_people_read_a_sandbox_and_machines_the_rest(profile: Profile, asked: Any, form: LogFormat) -> None:
    assert log_format(settings(profile=profile, log_format=asked)) is form


def test_json_has_all_that_is_to_be_found_again(capsys: pytest.CaptureFixture[str]) -> None:
    configure_process(settings(log_format="json"), "tx1@here")
    logging.getLogger("some.module").warning("It broke %d times", 3, extra={"signature": "abc"})
    structlog.get_logger("other.module").info("checkpoint written", id="c1", bytes=5)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("third").exception("failed")
    first, second, third = objects(capsys.readouterr().err)
    assert (
        first.items()
        >= {
            "message": "It broke 3 times",
            "signature": "abc",
            "level": "warning",
            "logger": "some.module",
            "process": "tx1@here",
        }.items()
    )
    assert first["timestamp"].endswith("Z")
    assert first["pid"] > 0
    assert second.items() >= {"message": "checkpoint written", "id": "c1", "level": "info"}.items()
    assert "ValueError: two\nlines" in third["exception"]


def test_another_handler_before_ours_adds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure_process(settings(log_format="json"), "p")
    record = logging.makeLogRecord({"msg": "said", "levelno": logging.WARNING, "name": "a"})
    logging.Formatter("%(asctime)s %(message)s").format(record)
    logging.getLogger("a").handle(record)
    [line] = objects(capsys.readouterr().err)
    assert line["message"] == "said"
    assert "asctime" not in line


def test_people_see_the_fields_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_process(settings(log_format="console"), "tx1@here")
    logging.getLogger("some.module").warning("parked", extra={"signatures": ["abc", "def"]})
    [line] = capsys.readouterr().err.splitlines()
    for part in ("warning", "parked", "abc", "def", "tx1@here"):
        assert part in line
    assert "\x1b" not in line, "colours in what is no terminal"


def test_a_traceback_shows_no_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_process(settings(log_format="console"), "p")
    secret = "hidden" + "treasure"
    try:
        raise ValueError(len(secret))
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "hiddentreasure" not in capsys.readouterr().err


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("WARNING", 2), ("error", 1)])
def test_the_level_holds_for_both_kinds_of_logger(capsys: pytest.CaptureFixture[str], level: Any, seen: int) -> None:
    configure_process(settings(log_format="json", log_level=level), "p", level=logging.CRITICAL)
    for logger in (logging.getLogger("a"), structlog.get_logger("b")):
        for name in ("debug", "info", "warning", "error"):
            getattr(logger, name)("said")
    assert len(objects(capsys.readouterr().err)) == 2 * seen


def test_celerys_level_counts_where_none_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    configure_process(settings(log_format="json"), "p", level=logging.ERROR)
    logging.getLogger("a").warning("said")
    assert capsys.readouterr().err == ""


def test_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "all.log"
    for process in ("tx1", "beat"):
        configure_process(settings(log_format="json", log_file=file, log_file_bytes=4096, log_files_kept=2), process)
        for _ in range(60):
            logging.getLogger("a").warning("said %s", "x" * 60)
    assert capsys.readouterr().err == ""
    kept = sorted(file.parent.iterdir())
    assert [path.name for path in kept] == ["all.log", "all.log.1", "all.log.2"]
    assert all(path.stat().st_size <= 4096 for path in kept)
    assert {line["process"] for path in kept for line in objects(path.read_text())} == {"beat"}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"TRUNKLINE_LOG_FILE: .*file/x\.log cannot be written"):
        configure_process(settings(log_file=tmp_path / "file" / "x.log"), "p")


def test_a_command_shows_warnings_and_keeps_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "all.log"
    configure_command(settings(log_file=file, profile=Profile.PROD), "trunkline status")
    logging.getLogger("a").info("quiet")
    logging.getLogger("a").warning("loud")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "loud" in shown.err
    assert "quiet" not in shown.err
    assert "{" not in shown.err, "people read it, whatever the profile"
    assert [line["message"] for line in objects(file.read_text())] == ["quiet", "loud"]


def test_what_ends_a_process_is_a_line_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    configure_process(settings(log_format="json"), "p")
    sys.excepthook(ValueError, ValueError("why"), None)
    [line] = objects(capsys.readouterr().err)
    assert line["level"] == "critical"
    assert "ValueError: why" in line["exception"]
