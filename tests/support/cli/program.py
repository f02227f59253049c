"""Runs the installed `trunkline` as a user would: in a subprocess, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from solders.hash import Hash
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from tests.support.ledgers import transfer_transaction
from tests.support.ports import free_port
from tests.support.waiting import gone, wait_until

PROGRAM = str(Path(sys.executable).parent / "trunkline")


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without any setting of Trunkline's but `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    return kept | variables


@dataclass
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@dataclass
class Instance:
    """`trunkline up` on `folder`, and commands that find it by `--data`."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    family: set[int] = field(default_factory=set)

    def start(self, *options: str) -> None:
        """Start it, on ports of its own unless `options` say which, and return once workers consume."""
        ports = [
            word
            for server in ("flower", "rpc")
            if not {f"--no-{server}", f"--{server}-port"} & set(options)
            for word in (f"--{server}-port", str(free_port()))
        ]
        self.process = subprocess.Popen(
            [PROGRAM, "up", "--data", str(self.folder), *ports, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**self.variables),
            cwd=self.folder.parent,
        )
        ready = self("status", "--wait", "60")
        assert ready.code == 0, ready.err + self.end()

    def end(self, number: int = signal.SIGINT) -> str:
        """Send a signal as Ctrl-C does, wait for the end and return all it printed; every process must be gone."""
        assert self.process is not None
        self.family = descendants(self.process.pid)
        self.process.send_signal(number)
        printed, _ = self.process.communicate(timeout=60)
        wait_until(lambda: all(gone(pid) for pid in self.family), "the processes of `up` end")
        return printed

    def __call__(self, *args: str, stdin: str | None = None) -> Answer:
        done = subprocess.run(
            [PROGRAM, *args, "--data", str(self.folder)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env=environment(**self.variables),
        )
        assert "Traceback" not in done.stderr
        return Answer(done.returncode, done.stdout, done.stderr)

    def json(self, command: str) -> Any:
        answer = self(*command.split(), "--json")
        assert answer.code == 0, answer.err
        return json.loads(answer.out)

    def blockhash(self) -> Hash:
        return Hash.from_string(self.json("status")["blockhash"])

    def faucet(self) -> Keypair:
        return Keypair.from_json((self.folder / "faucet.json").read_text())

    def signed(self, source: Keypair, lamports: int) -> VersionedTransaction:
        """A transfer to somebody new, with a recent blockhash."""
        return transfer_transaction(source, Keypair().pubkey(), lamports, self.blockhash())


def descendants(pid: int) -> set[int]:
    """Process ids of all that a process started, itself included."""
    process = psutil.Process(pid)
    return {pid, *(child.pid for child in process.children(recursive=True))}
