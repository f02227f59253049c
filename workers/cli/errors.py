"""From an error to its message and to the exit code of the process."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import dataclass

import amqp
import click
import redis
from kombu.exceptions import OperationalError

from config.addresses import refusal
from config.errors import ConfigurationError, TrunklineError
from config.settings import get_settings
from recovery.errors import RecoveryError

FAILURE = 1
USAGE = 2
#: Errors raised on purpose, whose message says what to do.
OURS = (TrunklineError, RecoveryError)
INTERRUPTED = 128 + signal.SIGINT


class CommandFailed(TrunklineError):
    """The command did its work and the answer is no: exit code 1. The message may be empty when all was said."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What to print on standard error ('' for nothing), and the exit code."""

    message: str
    code: int


def ending_of(error: BaseException) -> Ending:
    """How the process ends because of `error`."""
    match error:
        case click.UsageError():
            return Ending(_usage(error), USAGE)
        case click.ClickException():
            return Ending(_refusal(error) or f"Error: {error.format_message()}", FAILURE)
        case click.Abort() | KeyboardInterrupt():
            return _interrupted(error)
        case CommandFailed() if not str(error):
            return Ending("", FAILURE)
        case _:
            return Ending(_words(error) or _bug(error), FAILURE)


def _usage(error: click.UsageError) -> str:
    hint = ""
    if error.ctx is not None:
        hint = f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help'.\n"
    return f"{hint}Error: {error.format_message()}"


def _interrupted(error: BaseException) -> Ending:
    # click turns a KeyboardInterrupt into its own Abort; the signal's number is in what caused that.
    cause = error.__cause__ if isinstance(error, click.Abort) else error
    number = getattr(cause, "number", signal.SIGINT)
    return Ending("Interrupted.", 128 + number)


def _words(error: BaseException) -> str:
    if isinstance(error, (*OURS, redis.RedisError)) and (refused := _refusal(error)):
        return refused
    if isinstance(error, OURS):
        return f"Error: {error}"
    if isinstance(error, redis.RedisError):
        return f"Error: Redis does not answer as it should: {error}. See `trunkline status`, or start `trunkline up`."
    if isinstance(error, OperationalError | amqp.AMQPError):
        return f"Error: the broker does not answer: {error}. See `trunkline status`, or start `trunkline up`."
    if isinstance(error, OSError) and error.filename is not None:
        return f"Error: {error.filename}: {error.strerror}. Check the path and your permissions."
    return ""


def _refusal(error: BaseException) -> str:
    """What a Redis that wants another password or user said, however many of our own errors are around it."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, redis.RedisError) and (problem := refusal(at)):
            # An error of ours that names the variable says more.
            return f"Error: {error}" if problem in str(error) else f"Error: {problem}. Correct TRUNKLINE_REDIS_URL."
        at = at.__cause__
    return ""


def _bug(error: BaseException) -> str:
    if os.environ.get("TRUNKLINE_DEBUG"):
        return "".join(traceback.format_exception(error)).rstrip()
    try:
        logs = f" The logs are in {get_settings().data_dir / 'log'}."
    except ConfigurationError:
        logs = ""
    return (
        f"Error: this is a bug in Trunkline: {type(error).__name__}: {error}.{logs} "
        "Set TRUNKLINE_DEBUG=1 to see where it happened."
    )


def leave_quietly() -> None:
    """Keep the interpreter from complaining at exit that its output is read no more."""
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open to the end
