"""Logs of every process: one line an event, for people or as JSON, to standard error or to a file that rotates."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog
from celery import current_task
from structlog.typing import Processor

from config.errors import ConfigurationError
from config.rotation import SharedLogFile
from config.sections import LogFormat
from config.settings import Profile, Settings

#: How a record's own handler is told from those of tests and of whoever runs our code inside a program of theirs.
_OURS = "_trunkline"


def log_format(settings: Settings) -> LogFormat:
    """JSON or console, once `auto` is resolved: people read the logs of a sandbox, machines those of production."""
    if settings.log.format is not LogFormat.AUTO:
        return settings.log.format
    return LogFormat.CONSOLE if settings.profile is Profile.DEV else LogFormat.JSON


def configure_process(settings: Settings, process: str, *, level: int | None = None, file: Path | None = None) -> None:
    """Logs of a process that is ours alone (a worker, beat, Flower, the RPC server); replaces all handlers.

    `level` and `file` count where the settings say nothing. Raises ConfigurationError when the file cannot be opened.
    """
    _configure_structlog()
    form = log_format(settings)
    handler = _handler(settings, file)
    handler.setFormatter(_formatter(form, process, colors=_is_terminal(handler)))
    chosen = _level(settings) if level is None or "level" in settings.log.model_fields_set else level
    _install([handler], chosen, keep_others=False)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


def configure_command(settings: Settings, process: str, *, server: bool = False, file: Path | None = None) -> None:
    """Logs of a command line: warnings for people on standard error, and everything in the log file if there is one.

    A level that was set holds on standard error as well; a `server` writes there in the format of a process. `file` is
    used where the settings name none. Raises ConfigurationError when the file cannot be opened.
    """
    _configure_structlog()
    explicit = "level" in settings.log.model_fields_set
    form = log_format(settings) if server or settings.log.format is not LogFormat.AUTO else LogFormat.CONSOLE
    shown = _Standard()
    shown.setFormatter(_formatter(form, process, colors=_is_terminal(shown)))
    shown.setLevel(_level(settings) if explicit else logging.WARNING)
    handlers: list[logging.Handler] = [shown]
    if settings.log.file or file:
        kept = _file_handler(settings, settings.log.file or file)
        kept.setFormatter(_formatter(log_format(settings), process, colors=False))
        kept.setLevel(_level(settings))
        handlers.append(kept)
    _install(handlers, min(handler.level for handler in handlers), keep_others=True)


class _Standard(logging.StreamHandler[TextIO]):
    """Standard error as it is when a line is written: tests and programs put another in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def _handler(settings: Settings, file: Path | None) -> logging.Handler:
    path = settings.log.file or file
    return _Standard() if path is None else _file_handler(settings, path)


def _file_handler(settings: Settings, path: Path | None) -> logging.Handler:
    assert path is not None
    try:
        return SharedLogFile(path, most_bytes=settings.log.file_bytes, kept=settings.log.files_kept)
    except OSError as error:
        raise ConfigurationError(f"TRUNKLINE_LOG_FILE: {path} cannot be written: {error.strerror}.") from error


def _install(handlers: list[logging.Handler], level: int, *, keep_others: bool) -> None:
    root = logging.getLogger()
    for old in list(root.handlers):
        if not keep_others or getattr(old, _OURS, False):
            root.removeHandler(old)
            old.close()
    for handler in handlers:
        setattr(handler, _OURS, True)
        root.addHandler(handler)
    root.setLevel(level)
    # Both speak of each connection and each request at level DEBUG, which says nothing of transactions.
    for chatty in ("amqp", "urllib3", "botocore"):
        logging.getLogger(chatty).setLevel(max(level, logging.INFO))


def _level(settings: Settings) -> int:
    return logging.getLevelNamesMapping()[settings.log.level.value.upper()]


def _is_terminal(handler: logging.Handler) -> bool:
    return isinstance(handler, _Standard) and sys.stderr.isatty()


def _configure_structlog() -> None:
    """Events of structlog go the way of all records, so that there is one format and one file."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _formatter(form: LogFormat, process: str, *, colors: bool) -> logging.Formatter:
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Origin(process),
        _current_task,
    ]
    if form is LogFormat.JSON:
        ending: list[Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback  # the default would show the values of variables, secrets among them
        ending = [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, exception_formatter=plain)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _without_leftovers],
        processors=[*shared, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )


class _Origin:
    """Adds the process that logged the record."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, logger: Any, name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002
        return {**event, "process": self._process, "pid": os.getpid()}


def _without_leftovers(logger: Any, name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG001
    """What the formatter of another handler left on the record, and what looks like a field of the event."""
    return {key: value for key, value in event.items() if key not in {"message", "asctime"}}


def _current_task(logger: Any, name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG001
    """Which Celery task it was said in."""
    request = current_task.request if current_task else None
    if request is None or not request.id:
        return event
    return {"task": current_task.name, "task_id": request.id} | dict(event)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("trunkline").critical("This process ends by an error", exc_info=(kind, error, trace))
