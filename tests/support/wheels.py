"""What somebody has who installs a wheel: a Python environment with it alone, and a folder with files of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT

#: Files that many projects have beside them; ours must be found all the same, and theirs must not be run by us.
FOREIGN_FILE = 'raise RuntimeError("{name} of the user\'s own folder was imported")\n'


def build_wheels(folder: Path) -> dict[str, Path]:
    """Build the wheels as a person does, into `folder`; distribution name to file."""
    command = ["make", "-s", "-C", str(ROOT), "wheels", f"PYTHON={sys.executable}", f"DIST={folder}"]
    _checked(subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment()))
    return {path.name.partition("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}


def foreign_folder(parent: Path) -> Path:
    """A working folder that holds nothing but a user's own `config.py` and `tasks.py`."""
    folder = parent / "work"
    folder.mkdir()
    for name in ("config.py", "tasks.py"):
        (folder / name).write_text(FOREIGN_FILE.format(name=name))
    return folder


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would lead another Python to this checkout or to our settings."""
    prefixes = ("PYTHON", "TRUNKLINE_", "VIRTUAL_ENV", "FLOWER_", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)} | more


class Environment:
    """A virtual environment in `folder`, at first empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = str(folder / "bin" / "python")

    def install(self, *requirements: str) -> None:
        """Install into it, the versions pinned as everywhere here."""
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet"]
        environment = clean_environment(PIP_CONSTRAINT=str(ROOT / "constraints.txt"), PIP_DISABLE_PIP_VERSION_CHECK="1")
        _checked(subprocess.run([*pip, *requirements], capture_output=True, text=True, check=False, env=environment))

    def script(self, name: str) -> str:
        """The path of an installed command."""
        return str(self.folder / "bin" / name)

    def names(self) -> set[str]:
        """The names of the installed distributions, in small letters."""
        found = self.folder.glob("lib/python3*/site-packages/*.dist-info")
        return {path.name.partition("-")[0].lower().replace("_", "-") for path in found}

    def size(self) -> int:
        """Bytes in the environment."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())

    def run(self, *command: str, cwd: Path, **variables: str) -> str:
        """What `command` prints, run in `cwd`; fails when it fails."""
        environment = clean_environment(**variables)
        return _checked(
            subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120)
        )

    @contextmanager
    def running(self, *command: str, cwd: Path, log: Path, **variables: str) -> Iterator[None]:
        """`command` runs in `cwd` meanwhile, its output goes to `log`; it is asked to end, and killed after 15 s."""
        with log.open("wb") as output:
            environment = clean_environment(**variables)
            process = subprocess.Popen(
                command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            try:
                yield
            finally:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _checked(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 0, f"{run.args}\n{run.stdout[-3000:]}\n{run.stderr[-6000:]}"
    return run.stdout
