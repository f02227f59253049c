"""The sections of docs/performance.md, one for each part of the results."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]
ROLES = ("producer", "redis", "worker parent", "pool child", "maintenance", "beat")
_NAMES = {"bare": "bare Celery", "single": "one a message", "batch": "batches"}


def spread(values: Figures, digits: int = 0) -> str:
    """`median (least to most)`."""
    return f"{values['median']:,.{digits}f} ({values['min']:,.{digits}f} to {values['max']:,.{digits}f})"


def rows(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _section(title: str, command: str, figures: Figures, *parts: str) -> str:
    about = figures["about"]
    versions = ", ".join(f"{name} {number}" for name, number in about.get("versions", {}).items())
    load = f", load {about['load_average_before']} before" if "load_average_before" in about else ""
    source = f"{about['cores']} cores, {about['system']}, Python {about['python']}{load}; {versions}"
    written = [f"## {title}", *parts, f"`{command}`, {about['on']}: {source}."]
    return "\n\n".join(part if part.startswith(("|", "![")) else _wrapped(part) for part in written) + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _contenders(found: Figures, names: Mapping[str, str]) -> str:
    body = [
        [
            shown,
            spread(found[name]["per_second"]),
            spread(found[name]["total_us"]),
            f"{found[name]['workers_and_redis_us']['median']:,.0f}",
            f"{found[name]['redis_commands_us']['median']:,.1f}",
        ]
        for name, shown in names.items()
        if name in found
    ]
    return rows(["", "a second", "CPU, us", "workers and Redis, us", "Redis within commands, us"], body)


def _pipeline(found: Figures) -> str:
    contenders, times = found["contenders"], found["times_bare"]
    ratios = rows(
        ["times bare Celery", "CPU", "CPU of workers and Redis", "wall"],
        [[_NAMES[name], *(spread(values, 2) for values in times[name].values())] for name in times],
    )
    processes = rows(
        ["CPU, us", *(_NAMES.get(name, name) for name in contenders)],
        [
            [role, *(f"{one['cpu_us'][role]:,.1f}" if role in one["cpu_us"] else "" for one in contenders.values())]
            for role in ROLES
        ],
    )
    text = [
        f"Bursts of {found['burst']:,} transactions with the default settings: verification, sealing, checkpoints "
        "and pruning on. The ledger is older than 300 slots in the measured ones, so that what each burst prunes is as "
        "much as it adds. Bare Celery and the single task take their turns between the bursts; a single task is "
        "measured without beat and maintenance.",
        _contenders(contenders, _NAMES | {"batch before pruning": "batches, before pruning begins"}),
        ratios,
        "![CPU a transaction by process](images/performance-cpu.svg)",
        processes,
        _upkeep(found),
        *_memory(found),
    ]
    return _section("Against bare Celery", "make bench", found, *text) + "\n" + _conflict_section(found)


def _upkeep(found: Figures) -> str:
    steady, off = found["contenders"]["batch"], found["conflicts"]["contenders"]["2 workers"]
    share = upkeep_share(found)
    return (
        "Sealing, checkpoints and pruning are beat, maintenance, and what Redis spends on top of the "
        f"{off['cpu_us']['redis']:.1f} us that it needs without them: {share:.0%} of the "
        f"{steady['total_us']['median']:.0f} us. The idle ledger, beside the others' turns, took "
        f"{found['idle_share_of_a_core']:.1%} of a core."
    )


def upkeep_share(found: Figures) -> float:
    """Sealing, checkpoints and pruning, as a share of all CPU."""
    steady, off = found["contenders"]["batch"]["cpu_us"], found["conflicts"]["contenders"]["2 workers"]["cpu_us"]
    spent = steady.get("maintenance", 0.0) + steady.get("beat", 0.0) + max(0.0, steady["redis"] - off["redis"])
    return float(spent / sum(steady.values()))


def _memory(found: Figures) -> list[str]:
    first, last = found["resident_mib"]["first"], found["resident_mib"]["last"]
    grown = found["redis_bytes_grown_in_a_burst"]
    return [
        f"Redis keeps {found['redis_bytes_kept_per_transaction']:,} bytes a transaction for 300 slots; in a burst it "
        f"grows by {grown['before pruning']:,} bytes a transaction before pruning begins, and by {grown['steady']:,} "
        f"after. The archive has {found['archive_bytes_per_transaction']:,.0f} bytes a transaction. Resident memory, "
        f"before and after {found['transactions']:,} transactions of the steady state:",
        rows(["MiB", "before", "after"], [[name, f"{first[name]}", f"{last.get(name, 0)}"] for name in first]),
    ]


def _conflict_section(found: Figures) -> str:
    conflicts = found["conflicts"]
    body = [
        [name, spread(one["per_second"]), spread(one["total_us"]), f"{conflicts['rounds'][name]:.2f}"]
        for name, one in conflicts["contenders"].items()
    ]
    return _section(
        "Conflicts",
        "make bench",
        found,
        "Batches without upkeep among 1,000 accounts. A round is one load and commit of a batch; a batch that lost its "
        "accounts to another one needs more than one. One payer in every transaction, four workers: "
        f"{spread(conflicts['hot_against_none'], 2)} of the speed without the one payer, "
        f"{spread(conflicts['hot_against_none_cpu'], 2)} by CPU.",
        rows(["", "a second", "CPU, us", "rounds a batch"], body),
    ) + ("\n" + _peers(found) if found["peers"] else "")


def _peers(found: Figures) -> str:
    bare = found["contenders"]["bare"]
    body = [["celery (bare)", "5.7", spread(bare["per_second"]), spread(bare["total_us"])]]
    left_out = []
    for name, one in found["peers"].items():
        if "left_out" in one:
            left_out.append(f"{name}: {one['left_out']}")
        else:
            body.append([name, one["version"], spread(one["per_second"]), spread(one["total_us"])])
    batch = found["contenders"]["batch"]
    body.append(["trunkline, signed transfers", "", spread(batch["per_second"]), spread(batch["total_us"])])
    return _section(
        "Other frameworks, a trivial job",
        "make bench",
        found,
        "One INCR a job on the same Redis, two processes each, otherwise the defaults of its documentation; "
        "`benchmarks/peers` has each. The last row does more: it verifies, executes and records a signed transfer."
        + (f" Left out: {'; '.join(left_out)}." if left_out else ""),
        "![Jobs a second](images/performance-peers.svg)",
        rows(["", "version", "a second", "CPU, us a job"], body),
    )


def _exactly_once(found: Figures) -> str:
    body = [
        [name, f"{one['transfers']:,}", f"{one['late']:,}", str(one["again"]), f"{one['seconds']:.1f}"]
        if "late" in one
        else [name, "", one["left_out"], "", ""]
        for name, one in found.items()
        if name != "about"
    ]
    return _section(
        "Other frameworks, the same job",
        "python -m benchmarks exactly_once",
        found,
        "Verify and apply one signed transfer, exactly once. The worker is killed with SIGKILL, children and all, when "
        "half of them are applied, and another one is started. *Late* had no effect when nothing had moved for 20 s: "
        "lost, or redelivered after minutes (Celery's visibility timeout is an hour, dramatiq's heartbeat a minute). "
        "*Again* counts second runs, which only the script that the job brings along makes harmless. Doubled effects: "
        "none, thanks to that script; Trunkline's jobs bring none.",
        rows(["", "transfers", "late", "again", "seconds from the kill to the last effect"], body),
    )


def _growth(found: Figures) -> str:
    titles = {
        "workers": "workers",
        "batch": "transactions a message",
        "accounts": "accounts",
        "conflicts": "share of one payer, 4 workers",
        "payments": "transfers in a transaction",
    }
    tables = [
        rows(
            [title, "a second", "CPU, us", "Redis, us"],
            [
                [point, spread(one["per_second"]), spread(one["total_us"]), f"{one['cpu_us']['redis']:.1f}"]
                for point, one in found[axis].items()
            ],
        )
        for axis, title in titles.items()
    ]
    return _section(
        "Growth",
        "python -m benchmarks growth",
        found,
        "One thing at a time grows; the others are 2 workers, 1,000 accounts, the default batch, one transfer a "
        "transaction, no upkeep. CPU with 8 workers against 1 (more workers than cores): "
        f"{found['cpu_8_workers_against_1']:.2f}. Redis bytes an account: {found['redis_bytes_per_account']:.0f}.",
        "![CPU by workers](images/performance-workers.svg)",
        "![CPU by transactions a message](images/performance-batch.svg)",
        *tables,
    )


def _limits(found: Figures) -> str:
    names = {
        "signature_check_us": "the signature alone (solders)",
        "verify_us": "verification: canonical form, signature, parts",
        "load_execute_commit_us": "the worker's side of load, VM and commit, batches of 64",
        "load_and_commit_scripts_us": "Redis' side of it: load script, commit script",
        "sign_us": "making and signing a transfer, which no figure above includes",
    }
    body = [[shown, spread(found[name], 1), f"{1e6 / found[name]['median']:,.0f}"] for name, shown in names.items()]
    return _section(
        "The physical limit",
        "python -m benchmarks limits",
        found,
        "Each part alone, by CPU time, without Celery: what one core could do of it. A transaction is verified twice, "
        "by the producer or by the worker according to who vouches for it.",
        rows(["", "us", "a second and core"], body),
    )


def _startup(found: Figures) -> str:
    return _section(
        "Starting",
        "python -m benchmarks startup",
        found,
        rows(
            ["seconds", ""],
            [
                ["`trunkline up`, new ledger, until it says Ready", spread(found["up_to_ready_s"], 1)],
                ["the load of `make demo`: 20,000 transfers through a kill", spread(found["demo_load_s"], 1)],
                ["`make demo` as a whole", spread(found["demo_whole_s"], 1)],
            ],
        ),
    )


def _rpc(found: Figures) -> str:
    sends = [
        [
            f"{one['rate']:,}",
            "yes" if one["preflight"] else "no",
            *(
                f"{one[level]['p50_ms']:,.0f}, {one[level]['p95_ms']:,.0f}"
                for level in ("accepted", "processed", "finalized")
            ),
            str(one["lost"]),
        ]
        for one in found["send_transaction"]
    ]
    reads = [
        [name, f"{one['requests_per_s']:,}", f"{one['p50_ms']:.1f}", f"{one['p95_ms']:.1f}"]
        for name, one in found["get_balance"].items()
    ]
    told = found["subscribers"]
    return _section(
        "RPC",
        "python -m benchmarks rpc",
        found,
        "One transaction worker, maintenance, beat, the server and the load generator on the machine. A send's time "
        "counts from the moment it was due, whatever the answers before it took (p50, p95 in ms).",
        rows(["sends a second", "preflight", "accepted", "processed", "finalized", "lost"], sends),
        rows(["getBalance", "a second", "p50, ms", "p95, ms"], reads),
        f"{told['subscribers']:,} websockets on one account: the last is told {told['last']['p50_ms']:.0f} ms after "
        f"the send (p95 {told['last']['p95_ms']:.0f}). The server's memory: {found['memory_mib']['idle']} MiB idle, "
        f"{found['memory_mib']['with subscribers']} with them.",
    )


def _durability(found: Figures) -> str:
    body = [
        [
            f"{one['accounts']:,}",
            f"{one['restore_seconds']:.2f}",
            f"{one['healthy_check_ms']:.1f}",
            f"{one['full_checkpoint_seconds']:.2f}",
            f"{one['incremental_share_of_full']:.3f}",
        ]
        for one in found["restore"]
    ]
    finality = found["finality"]
    return _section(
        "Durability",
        "python -m benchmarks durability",
        found,
        "Restoring from a full checkpoint after all of Redis was lost; the check of a healthy boot; a full checkpoint; "
        "an incremental one of 1,000 changed accounts as a share of it.",
        rows(["accounts", "restore, s", "check, ms", "full checkpoint, s", "incremental"], body),
        f"Accepted to finalized at {finality['offered_per_second']:,} a second: p50 {finality['p50_seconds']:.2f} s, "
        f"p99 {finality['p99_seconds']:.2f} s.",
    )


def _breaker(found: Figures) -> str:
    delays, memory = found["trip_reaches_8_processes_ms"], found["bytes_per_breaker"]
    body = [
        [
            name,
            f"{one['added_us']['median']:.2f} ({one['added_us']['least']:.2f} to {one['added_us']['most']:.2f})",
            f"{delays[name]['p50']}, {delays[name]['p95']}",
            f"{memory[name] / 1000:.0f}" if name in memory else "",
        ]
        for name, one in found["closed_path"].items()
    ]
    return _section(
        "Circuit breakers",
        "python -m benchmarks breaker",
        found,
        "All share their state by the same Redis. Added to a closed call; from a trip until 8 processes see it.",
        rows(["", "added, us", "trip seen, p50 and p95, ms", "KB each"], body),
    )


def _retries(found: Figures) -> str:
    body = [
        [f"{name} {one['version']}".strip(), spread(one["at once"], 1), spread(one["third attempt"], 0)]
        for name, one in found.items()
        if name != "about"
    ]
    return _section(
        "Retries",
        "python -m benchmarks retries",
        found,
        "Microseconds of CPU added to a call that succeeds at once, and of one that succeeds at its third attempt, "
        "without delays between them.",
        rows(["", "at once, us", "third attempt, us"], body),
    )


def _soak(found: Figures) -> str:
    body = [
        [name, f"{one['middle']:g}", f"{one['end']:g}", "yes" if one["flat"] else "no"]
        for name, one in found["growth"].items()
    ]
    return _section(
        "Soak",
        f"make soak MINUTES={found['minutes']:g}",
        found,
        f"{found['offered_per_second']:,} transfers a second, half of what the machine took, "
        f"{found['transactions']:,} in all. From the middle to the end (medians of some samples; MiB, and "
        "descriptors); flat is less than a tenth, or 5 MiB, more. The archive grows by design: it keeps "
        "`history_slots` of blocks, a day's.",
        "![Memory over time](images/performance-soak.svg)",
        rows(["", "middle", "end", "flat"], body),
    )


SECTIONS: dict[str, Callable[[Figures], str]] = {
    "pipeline": _pipeline,
    "exactly_once": _exactly_once,
    "growth": _growth,
    "limits": _limits,
    "startup": _startup,
    "rpc": _rpc,
    "durability": _durability,
    "breaker": _breaker,
    "retries": _retries,
    "soak": _soak,
}
