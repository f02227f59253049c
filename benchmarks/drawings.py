"""The pictures of docs/performance.md, from the results."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import svg
from benchmarks.sections import ROLES, Figures


def _draw_pipeline(found: Figures) -> dict[str, str]:
    kinds = {"single": "one a message", "batch": "batches", "batch before pruning": "batches, no pruning"}
    cpu = {
        shown: {role: found["contenders"][name]["cpu_us"].get(role, 0.0) for role in ROLES}
        for name, shown in {"bare": "bare Celery", **kinds}.items()
    }
    speeds = {"celery (bare)": found["contenders"]["bare"]["per_second"]["median"]}
    speeds |= {name: one["per_second"]["median"] for name, one in found["peers"].items() if "per_second" in one}
    speeds["trunkline, transfers"] = found["contenders"]["batch"]["per_second"]["median"]
    return {
        "performance-cpu.svg": svg.bars("CPU of one transaction (or task), by process", cpu, "us"),
        "performance-peers.svg": svg.bars("Jobs a second", {name: {"": one} for name, one in speeds.items()}, ""),
    }


def _draw_growth(found: Figures) -> dict[str, str]:
    def by_process(axis: str) -> dict[str, dict[str, float]]:
        return {
            point: {role: one["cpu_us"][role] for role in ROLES if role in one["cpu_us"]}
            for point, one in found[axis].items()
        }

    return {
        "performance-workers.svg": svg.bars("CPU of a transaction by number of workers", by_process("workers"), "us"),
        "performance-batch.svg": svg.bars("CPU of a transaction by size of the batch", by_process("batch"), "us"),
    }


def _draw_soak(found: Figures) -> dict[str, str]:
    minutes = [one["seconds"] / 60 for one in found["samples"]]
    drawn = {"Redis": [one["redis_mib"] for one in found["samples"]]}
    for name in found["samples"][-1]["resident_mib"]:
        if name != "redis 1":
            drawn[name] = [one["resident_mib"].get(name, 0.0) for one in found["samples"]]
    rows_ = {name: list(zip(minutes, values, strict=True)) for name, values in list(drawn.items())[:6]}
    return {"performance-soak.svg": svg.lines("Memory under half load", rows_, "minutes", "MiB")}


#: Part of the results to what draws its pictures.
PICTURES: dict[str, Callable[[Figures], dict[str, str]]] = {
    "pipeline": _draw_pipeline,
    "growth": _draw_growth,
    "soak": _draw_soak,
}
