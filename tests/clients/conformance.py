"""solana-py's own integration suite against this server: `python -m tests.clients.conformance`.

The suite is third-party source, so it is not kept here: its source distribution is fetched by name from the package
index, together with what its tests need, into a virtual environment that is thrown away. It fails when more tests
fail than `docs/rpc.md` gives reasons for, or others.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

from tests.support.rpc.stack import Stack, running_stack

PACKAGE = "solana==0.41.0"
TEST_PACKAGES = ("pytest", "pytest-asyncio", "pytest-cov", "pytest-html", "pytest-xdist", "asyncstdlib")
#: Tests that need what a single-operator ledger cannot have; `docs/rpc.md` says why.
IMPOSSIBLE = frozenset(
    {
        "test_logs_subscribe_all_with_votes_receives_vote_log",
        "test_vote_subscribe",
        "test_send_memo_in_transaction",
    }
)
LEAST_PASSED = 71
_SUMMARY = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


def prepare(folder: Path) -> tuple[Path, Path]:
    """A virtual environment with the client, and the unpacked source; (python, source folder)."""
    environment = folder / "venv"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    download = [*pip, "download", "--no-binary", "solana", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(download, check=True)
    (archive,) = folder.glob("solana-*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    unpacked = archive.with_name(archive.name.removesuffix(".tar.gz"))
    subprocess.run([*pip, "install", str(unpacked), *TEST_PACKAGES], check=True)
    return python, unpacked


def run_suite(python: Path, source: Path, stack: Stack, arguments: list[str]) -> str:
    """Run the suite; returns pytest's report."""
    command = [str(python), "-m", "pytest", "tests/integration", "-m", "integration", "-o", "addopts=-p no:anyio"]
    command += ["-n", "0", "-rfEs", "--tb=short", *arguments]
    environment = stack.environment | {
        "SOLANA_VALIDATOR_EXTERNAL": "1",
        "SOLANA_VALIDATOR_EXTERNAL_RPC_URL": stack.url,
        "SOLANA_VALIDATOR_EXTERNAL_WS_URL": stack.ws_url,
    }
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def judge(report: str) -> list[str]:
    """What speaks against the run; empty when it is as it should be."""
    counts = {name.rstrip("s"): int(number) for number, name in _SUMMARY.findall(report.splitlines()[-1])}
    bad = {line.partition("::")[2].split(" ")[0].split("[")[0] for line in report.splitlines() if _is_bad(line)}
    problems = [f"{name} fails, and docs/rpc.md gives no reason" for name in sorted(bad - IMPOSSIBLE)]
    if counts.get("passed", 0) < LEAST_PASSED:
        problems.append(f"{counts.get('passed', 0)} tests passed; it was {LEAST_PASSED} before")
    return problems


def _is_bad(line: str) -> bool:
    return line.startswith(("FAILED ", "ERROR "))


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="Further arguments are given to pytest.")
    parser.add_argument("--folder", type=Path, help="prepare here and keep it, instead of a temporary folder")
    options, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        prepared = folder / "venv" / "bin" / "python"
        sources = [path for path in folder.glob("solana-*") if path.is_dir()]
        python, source = (prepared, sources[0]) if prepared.exists() and sources else prepare(folder)
        with running_stack(Path(temporary) / "stack") as stack:
            report = run_suite(python, source, stack, more)
            print(report)
            print(stack.log_tail("rpc"))
    problems = judge(report)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
