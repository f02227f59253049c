"""`.ci/install-packages`: what is missing is installed by root with apt, without starting services."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.tools import cannot_run, needs

SCRIPT = ROOT / ".ci" / "install-packages"
PACKAGES = SCRIPT.with_name("packages").read_text().split()


class Machine:
    """A PATH of stand-ins for dpkg-query, apt-get and id that keep a diary."""

    def __init__(self, folder: Path, *, installed: list[str], user: int) -> None:
        self.policy = folder / "policy-rc.d"
        self.diary = folder / "diary"
        self._bin = folder / "bin"
        self._bin.mkdir()
        self._program("dpkg-query", f'case " {" ".join(installed)} " in *" $3 "*) echo -n installed;; *) exit 1;; esac')
        self._program("id", f"echo {user}")
        self._program("apt-get", f'echo "$@" "policy: $(cat {self.policy} 2>&1 | tail -1)" >> {self.diary}')

    def install(self) -> subprocess.CompletedProcess[str]:
        path = f"{self._bin}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "POLICY_FILE": str(self.policy)}
        return subprocess.run([str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=20, check=False)

    def calls(self) -> list[str]:
        return self.diary.read_text().splitlines() if self.diary.exists() else []

    def break_apt(self) -> None:
        self._program("apt-get", "exit 100")

    def _program(self, name: str, script: str) -> None:
        program = self._bin / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


def test_root_installs_what_is_missing_and_no_service_may_start(tmp_path: Path) -> None:
    machine = Machine(tmp_path, installed=PACKAGES[1:], user=0)
    assert machine.install().returncode == 0
    update, install = machine.calls()
    assert " update " in update
    assert f" install --yes --no-install-recommends {PACKAGES[0]} " in install
    assert install.endswith("policy: exit 101")
    assert not machine.policy.exists()


def test_the_machine_s_own_policy_stays(tmp_path: Path) -> None:
    machine = Machine(tmp_path, installed=[], user=0)
    machine.policy.write_text("exit 104\n")
    machine.install()
    assert machine.policy.read_text() == "exit 104\n"


def test_nothing_is_asked_of_apt_when_all_is_there(tmp_path: Path) -> None:
    machine = Machine(tmp_path, installed=PACKAGES, user=0)
    assert machine.install().returncode == 0
    assert machine.calls() == []


def test_without_root_the_missing_ones_are_named(tmp_path: Path) -> None:
    machine = Machine(tmp_path, installed=PACKAGES[:-1], user=1000)
    answer = machine.install()
    assert answer.returncode == 0
    assert PACKAGES[-1] in answer.stderr
    assert machine.calls() == []


def test_the_gate_goes_on_when_apt_fails(tmp_path: Path) -> None:
    machine = Machine(tmp_path, installed=[], user=0)
    machine.break_apt()
    answer = machine.install()
    assert answer.returncode == 0
    assert "could not install" in answer.stderr
    assert not machine.policy.exists()


def test_a_test_without_its_program_is_skipped_on_a_laptop_and_fails_in_the_gate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-such-package"):
        needs("no-such-program", "no-such-package")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-package"):
        needs("no-such-program", "no-such-package")
    with pytest.raises(pytest.fail.Exception, match="no screen"):
        cannot_run("no screen")
    assert needs("sh", "dash")
