"""CPU time by the role of a process, from the operating system's books (`/proc/PID/stat` on Linux).

Wall time says how busy a machine is, CPU time what the work costs: a neighbour on the same cores bends it by a tenth,
not by a half. The books are kept in steps of 10 ms, so measure for a second at least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psutil

#: Role of a root process to that of what it forks: Celery's parent talks to the broker, its children run the tasks.
FORKED = {"worker": "pool child"}
NAMED = {"worker": "worker parent"}


def cpu_seconds(roots: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Seconds of CPU, user and system, that each role has used so far. `roots` are its processes' ids.

    What a root forks counts too, also when it has ended by now. Raises psutil.NoSuchProcess when a root is gone.
    """
    used: dict[str, float] = {}

    def add(role: str, seconds: float) -> None:
        used[role] = used.get(role, 0.0) + seconds

    for role, pids in roots.items():
        for pid in pids:
            root = psutil.Process(pid)
            times = root.cpu_times()
            add(NAMED.get(role, role), times.user + times.system)
            forked = FORKED.get(role, role)
            add(forked, times.children_user + times.children_system)
            for child in root.children(recursive=True):
                try:
                    own = child.cpu_times()
                except psutil.NoSuchProcess:
                    # It ended just now: its parent's books have it at the next reading.
                    continue
                add(forked, own.user + own.system + own.children_user + own.children_system)
    return used


def resident_mib(roots: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Resident memory of each process, in MiB, by role and place."""
    found: dict[str, float] = {}
    for role, pids in roots.items():
        for place, pid in enumerate(pids):
            root = psutil.Process(pid)
            found[f"{NAMED.get(role, role)} {place + 1}"] = _mib(root)
            for number, child in enumerate(root.children(recursive=True)):
                found[f"{FORKED.get(role, role + ' child')} {place + 1}.{number + 1}"] = _mib(child)
    return found


def _mib(process: psutil.Process) -> float:
    return round(process.memory_info().rss / 2**20, 1)
