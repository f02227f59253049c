"""Plants each bug into a copy of the tree and lets a storm rage there: `python -m tests.chaos.planted [NAME ...]`.

Exit code 0 only when the checker found every one, by a rule that the bug breaks.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.planted.bugs import BUGS, Bug
from tests.support.paths import ROOT

_FOLDERS = ("config", "recovery", "banking", "tasks", "workers", "rpc", "oracle", "tests")
_PATIENCE = 600.0


def plant(bug: Bug, target: Path) -> None:
    """A copy of the tree in `target`, with the bug in it. Raises NotPlanted."""
    for folder in _FOLDERS:
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)
    for edit in bug.edits:
        edit.apply(target)


def hunt(bug: Bug, seed: int, *, verbose: bool) -> tuple[bool, str]:
    """Whether a storm of this seed finds it, and what it said."""
    with tempfile.TemporaryDirectory(prefix=f"planted-{bug.name}-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        plant(bug, tree)
        command = [sys.executable, "-m", "tests.chaos", "--seed", str(seed), "--minutes", str(bug.minutes)]
        command += ["--only", bug.only, "--folder", str(Path(folder) / "storm")]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if verbose:
        print(done.stdout[-2000:])
    accused = [line for line in done.stdout.splitlines() if line.startswith("VIOLATION ")]
    hits = [line for line in accused if re.match(rf"VIOLATION ({bug.found})", line)]
    return bool(hits) and done.returncode != 0, (hits or accused or [done.stderr[-1500:] or done.stdout[-500:]])[0][
        :300
    ]


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bugs", nargs="*", help="names; without one all")
    parser.add_argument("--verbose", action="store_true", help="also the end of what each storm says")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unknown := [name for name in options.bugs if name not in BUGS]:
        raise SystemExit(f"no such bug: {', '.join(unknown)}; there are {', '.join(BUGS)}")
    missed = []
    for bug in (BUGS[name] for name in options.bugs or BUGS):
        began = time.monotonic()
        caught, said = hunt(bug, options.seed, verbose=options.verbose)
        print(f"{'caught' if caught else 'MISSED'} {bug.name} in {time.monotonic() - began:.0f} s: {said}", flush=True)
        if not caught:
            missed.append(bug.name)
    print(f"{len(options.bugs or BUGS) - len(missed)} caught, {len(missed)} missed {' '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
