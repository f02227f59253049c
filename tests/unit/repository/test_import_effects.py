"""Importing a module of ours changes nothing outside our packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

#: Modules that are imported to change the process: the entry points of processes of ours.
ENTRY_POINTS = ("workers.app", "workers.__main__")
#: `workers` must find our packages beside a working folder that has modules of the same names (`workers/rooms.py`).
ALLOWED = [["workers", "import hooks"]]

#: Imports all modules of the named packages; prints, as JSON, which module changed what.
CODE = """
import importlib, json, logging, os, pkgutil, signal, sys, threading
import celery._state, celery.signals, kombu.serialization, kombu.transport, structlog

def state():
    serializers = kombu.serialization.registry._encoders
    return {
        "kombu's transports": dict(kombu.transport.TRANSPORT_ALIASES),
        "kombu's serializers": {name: repr(encoder) for name, encoder in serializers.items()},
        "Celery's app": (repr(celery._state.default_app), repr(getattr(celery._state._tls, "current_app", None))),
        "Celery's signals": [len(getattr(celery.signals, name).receivers or ()) for name in celery.signals.__all__],
        "logging": (logging.getLogger().level, list(map(repr, logging.getLogger().handlers))),
        "structlog": structlog.is_configured(),
        "signal handlers": {str(number): repr(signal.getsignal(number)) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "threads": threading.active_count(),
        "import hooks": list(map(repr, sys.meta_path)),
        "import path": list(sys.path),
    }

changes, before = [], state()

def load(name):
    global before
    module = importlib.import_module(name)
    after = state()
    changes.extend([name, what] for what in after if after[what] != before[what])
    before = after
    return module

_, entry_points, *rooms = sys.argv
for room in rooms:
    for module in pkgutil.walk_packages(load(room).__path__, room + "."):
        if module.name not in entry_points.split(","):
            load(module.name)
print(json.dumps(changes))
"""


def changes_of(*rooms: str, folder: Path = ROOT) -> list[list[str]]:
    command = [sys.executable, "-c", CODE, ",".join(ENTRY_POINTS), *rooms]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    found: list[list[str]] = json.loads(run.stdout)
    return found


def test_importing_our_modules_changes_nothing_outside_them() -> None:
    assert changes_of("workers", "config", "recovery", "banking", "tasks", "rpc", "oracle") == ALLOWED


def test_a_module_that_changes_something_is_found(tmp_path: Path) -> None:
    package = tmp_path / "patching"
    package.mkdir()
    (package / "__init__.py").touch()
    source = "import kombu.transport\nkombu.transport.TRANSPORT_ALIASES['redis'] = 'mine:Transport'\n"
    (package / "broker.py").write_text(source)
    assert changes_of("patching", folder=tmp_path) == [["patching.broker", "kombu's transports"]]


def test_our_app_has_our_transport_once_it_is_used() -> None:
    code = (
        "from config.app import app\n"
        "with app.connection_for_write() as connection:\n"
        "    print(connection.get_transport_cls().__module__)\n"
        "from kombu.serialization import registry\n"
        "print(registry._encoders['msgpack'].encoder.__module__)"
    )
    variables = {**os.environ, "TRUNKLINE_REDIS_URL": "redis://127.0.0.1:6379/0"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["config.kombu_redis", "msgspec._core"]
