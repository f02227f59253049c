"""How a worker, beat or Flower begins: settings and the way to Redis are checked, then its logs are set up.

Celery's command says which of them this process becomes; in a program that makes a worker by itself nothing happens.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
import redis
from celery.apps import worker as celery_worker
from celery.signals import celeryd_after_setup, import_modules, setup_logging
from celery.utils.nodenames import default_nodename, host_format
from click.core import ParameterSource

from banking.ledger.connections import ledger_client
from config.addresses import masked, refusal
from config.errors import ConfigurationError
from config.logs import configure_process, log_format
from config.sections import LogFormat
from config.settings import Settings, get_settings, require_known_variables
from workers.metrics.server import prepare_folder

logger = logging.getLogger(__name__)

_COMMANDS = {"worker", "beat", "flower"}


def install() -> None:
    """To be called when the app is made."""
    # Sent in all three once the command line is known, before anything is connected; in Flower after its own logging.
    import_modules.connect(_begin, weak=False, dispatch_uid="trunkline")


def check_settings() -> None:
    """Raises ConfigurationError for an unknown variable, a wrong value, or a Redis that refuses us.

    A Redis that is away is waited for later, as by every worker.
    """
    require_known_variables()
    settings = get_settings()
    try:
        with ledger_client(settings) as client:
            client.ping()
    except redis.RedisError as error:
        if problem := refusal(error):
            raise ConfigurationError(f"TRUNKLINE_REDIS_URL ({masked(settings.ledger_url())}): {problem}.") from error


def _begin(**_: Any) -> None:
    context = click.get_current_context(silent=True)
    if context is None or context.info_name not in _COMMANDS:
        return
    try:
        check_settings()
        if context.info_name == "worker":
            prepare_folder()
        _configure_logs(context, get_settings())
    except ConfigurationError as error:
        sys.exit(f"Error: {error}")


def _configure_logs(context: click.Context, settings: Settings) -> None:
    command = str(context.info_name)
    name = host_format(default_nodename(context.params.get("hostname") or "")) if command == "worker" else command
    given = context.params.get("logfile")
    file = Path(host_format(given)) if given else None
    configure_process(settings, name, level=_given_level(context), file=file)
    # With a receiver connected, Celery sets up no logging of its own; it asks once the process is about to start.
    setup_logging.connect(_keep_logs, weak=False, dispatch_uid="trunkline")
    if log_format(settings) is LogFormat.JSON:
        # Celery draws its banner and says goodbye past all logging; every line is to be an object.
        celeryd_after_setup.connect(_draw_no_banner, weak=False, dispatch_uid="trunkline")
        setattr(celery_worker, "safe_say", partial(_say_as_json, name))  # noqa: B010 - the stubs leave it out
    logger.info("%s starts", name, extra={"profile": settings.profile.value, "ledger": settings.ledger.name})


def _keep_logs(**_: Any) -> None:
    """The logs are set up already."""


def _draw_no_banner(instance: Any, **_: Any) -> None:
    instance.quiet = True


def _given_level(context: click.Context) -> int | None:
    """Celery's `--loglevel` if it was written on the command line."""
    if context.get_parameter_source("loglevel") is not ParameterSource.COMMANDLINE:
        return None
    level = context.params["loglevel"]
    return level if isinstance(level, int) else logging.getLevelNamesMapping()[str(level).upper()]


def _say_as_json(process: str, message: str, file: Any = None) -> None:  # noqa: ARG001 - Celery's own signature
    # Called inside a handler of a signal: a lock of logging may be held, a plain write needs none.
    line = {"message": message.strip(), "level": "info", "process": process, "pid": os.getpid()}
    os.write(2, json.dumps(line).encode() + b"\n")
