"""A process that prints the mode of `demo` whenever it sees it change: `python -m ... URL`."""

from __future__ import annotations

import sys
import time

from recovery.degradation import DegradationManager


def main() -> None:
    manager = DegradationManager(sys.argv[1])
    seen = None
    while True:
        mode = manager.get_component_mode("demo")
        if mode is not seen:
            seen = mode
            # The monotonic clock is the machine's, so the test can compare it with its own.
            print(f"{time.monotonic()} {mode.name}", flush=True)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
