"""`python -m rpc`: the server alone, for the ledger that the settings name."""

from __future__ import annotations

import sys

from config.errors import TrunklineError
from config.logs import configure_process
from config.settings import get_settings, require_known_variables
from recovery.errors import RecoveryError
from rpc.runner import run_rpc


def main() -> int:
    """Serve until a signal; returns the exit code."""
    try:
        require_known_variables()
        configure_process(get_settings(), "rpc")
        run_rpc()
    except (TrunklineError, RecoveryError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
