"""Runs a launcher of the tiny app in a process of its own: `python -m tests.support.apps.launcher_main DATA`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from config.settings import Settings
from workers.supervisor.launcher import Launcher
from workers.supervisor.stop_signals import StopRequested


def main() -> None:
    settings = Settings(data_dir=Path(sys.argv[1]))
    launcher = Launcher(settings, workers=1, flower=False, app="tests.support.apps.tiny_app")
    try:
        with launcher.run():
            print(json.dumps(launcher.pids()), flush=True)
            launcher.wait()
    except StopRequested as stop:
        print(f"stopped by {stop}", flush=True)


if __name__ == "__main__":
    main()
