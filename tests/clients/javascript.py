"""The JavaScript clients against this server: `python -m tests.clients.javascript`.

Needs node 20 and npm; without them the tests are skipped, and fail where CI=true.

The packages come from the npm registry by name and version, into a folder that is thrown away.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.rpc.stack import running_stack

_TESTS = Path(__file__).parent / "js"
_RUN = ("node", "--test", "--test-concurrency=1", "--test-force-exit", "--test-timeout=60000", "--test-reporter=spec")


def main() -> int:
    """Returns the exit code of the tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="install here and keep it, instead of a temporary folder")
    options = parser.parse_args()
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        print("Skipped: these tests need node 20 and npm, and neither is here.", file=sys.stderr)
        return int(os.environ.get("CI") == "true")
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = options.folder or Path(temporary) / "js"
        folder.mkdir(parents=True, exist_ok=True)
        for source in (*_TESTS.glob("*.js"), _TESTS / "package.json"):
            shutil.copy(source, folder)
        install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
        subprocess.run(install, cwd=folder, check=True)
        with running_stack(Path(temporary) / "stack") as stack:
            environment = stack.environment | {"TRUNKLINE_RPC_URL": stack.url, "TRUNKLINE_WS_URL": stack.ws_url}
            done = subprocess.run(_RUN, cwd=folder, env=environment, check=False)
            if done.returncode:
                print(stack.log_tail("rpc"))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
