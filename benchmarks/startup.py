"""How long a person waits: `trunkline up` until it is ready, and `trunkline demo` with its 20,000 through a kill."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, summary
from benchmarks.rpc import free_ports

_SECONDS = re.compile(r"^seconds\s+([\d.]+)", re.MULTILINE)
_PROGRAM = str(Path(sys.executable).with_name("trunkline"))


def run(turns: int = 3) -> dict[str, Any]:
    """Seconds."""
    ready, loads, demos = [], [], []
    for _ in range(turns):
        ready.append(_up())
        load, whole = _demo()
        loads.append(load)
        demos.append(whole)
    return {
        "up_to_ready_s": summary(ready),
        "demo_load_s": summary(loads),
        "demo_whole_s": summary(demos),
    }


def _up() -> float:
    """From the command to its line `Ready`; everything is on, and the ledger is new."""
    rpc, flower = free_ports()
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        environment = os.environ | {"TRUNKLINE_DATA_DIR": folder, "TRUNKLINE_RPC_PORT": str(rpc)}
        command = [_PROGRAM, "up", "--flower-port", str(flower)]
        began = time.monotonic()
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = []
            for line in process.stdout:
                told.append(line)
                if line.startswith("Ready"):
                    break
            seconds = time.monotonic() - began
            process.terminate()
            process.communicate(timeout=60)
    if not told or not told[-1].startswith("Ready"):
        raise RuntimeError("`trunkline up` did not become ready: " + "".join(told))
    return seconds


def _demo() -> tuple[float, float]:
    """Seconds of its load (from the first submission to the last outcome) and of the whole command."""
    began = time.monotonic()
    done = subprocess.run([_PROGRAM, "demo"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    found = _SECONDS.search(done.stdout)
    if done.returncode or found is None:
        raise RuntimeError(done.stdout + done.stderr)
    return float(found[1]), time.monotonic() - began
