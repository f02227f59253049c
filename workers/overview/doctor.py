"""What is wrong with a deployment, and how to put it right. Looks only; changes nothing."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

import redis

from banking.errors import BadBlock
from banking.from_settings import keeps_archive, read_blocks
from config.errors import ConfigurationError, TrunklineError
from config.settings import Profile, Settings
from config.unknown import unknown_variables
from config.variables import all_settings
from recovery.archive import ArchiveError
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.errors import RecoveryError
from workers.answering import require_servers
from workers.overview.diagnosis import diagnose, span_text
from workers.overview.gathering import Gatherer
from workers.overview.model import Overview

OLDEST_REDIS = (6, 2)
#: Seconds that this host's clock may differ from Redis', and parts of a disk and of Redis' memory.
SKEW = 1.0
LOW_DISK, FULL_DISK = 0.10, 0.03
MUCH_MEMORY = 0.8


class Level(StrEnum):
    """`ok`: as it should be. `warning`: it works, perhaps not for long. `error`: it does not work, or is unsafe."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix` is "" when nothing is to be done."""

    subject: str
    level: Level
    what: str
    fix: str = ""


def examine(
    settings: Settings, environment: Mapping[str, str], *, overview: Overview | None = None, clock: Clock = SYSTEM_CLOCK
) -> list[Finding]:
    """Everything that was looked at, in the order of the looking; `overview` replaces a look at the ledger in tests."""
    looks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("variables", lambda: _variables(environment)),
        ("settings", lambda: _contradictions(settings)),
        ("folder", lambda: _folder(settings)),
        ("disk", lambda: _disk(settings)),
        ("broker", lambda: _broker(settings)),
        ("redis", lambda: _redis(settings, overview, clock)),
        ("archive", lambda: _archive(settings)),
    ]
    return [finding for subject, look in looks for finding in _looked(subject, look)]


def _looked(subject: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(look())
    except (TrunklineError, RecoveryError, OSError, redis.RedisError) as error:
        found.append(Finding(subject, Level.ERROR, str(error), "See the message; then run this again."))
    return found or [Finding(subject, Level.OK, "nothing to say against it")]


def _variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    for sentence in unknown_variables(all_settings(Settings), environment):
        yield _error("variables", sentence, "Correct or unset it: what is started refuses it.")


def _contradictions(settings: Settings) -> Iterator[Finding]:
    given = settings.given()
    relied_on = settings.profile is not Profile.DEV
    if settings.redis.url and "TRUNKLINE_FSYNC" in given:
        yield _warning(
            "settings",
            "TRUNKLINE_FSYNC is for the embedded Redis, and there is none",
            "Set appendfsync in that server.",
        )
    if relied_on and settings.redis.url and not _has_password(settings.redis.url):
        yield _error(
            "settings",
            f"profile {settings.profile.value}, and the ledger's Redis has no password",
            "Give it one (requirepass, or an ACL user) and write it into TRUNKLINE_REDIS_URL.",
        )
    if relied_on and settings.rpc.cors_origins == "*":
        yield _warning(
            "settings", "any web page may use the RPC server", "Name the pages in TRUNKLINE_RPC_CORS_ORIGINS."
        )
    if relied_on and (folder := _archive_folder(settings)) and settings.identity_path().is_relative_to(folder):
        yield _warning(
            "settings",
            "the key that vouches for the archive lies in the archive",
            "Move identity.json elsewhere, and say where in TRUNKLINE_IDENTITY.",
        )
    if settings.checkpoints.interval < settings.blocks.slot_interval:
        yield _warning(
            "settings",
            "checkpoints are due more often than blocks are made",
            "Make TRUNKLINE_CHECKPOINT_INTERVAL longer than TRUNKLINE_SLOT_INTERVAL.",
        )
    if settings.broker.visibility_timeout <= settings.sweep.grace:
        yield _warning(
            "settings",
            "the broker delivers messages again before the sweeper takes them for lost: each runs twice",
            "Make TRUNKLINE_VISIBILITY_TIMEOUT longer than TRUNKLINE_SWEEP_GRACE.",
        )
    if settings.metrics.folder is not None and not settings.metrics.folder.is_dir():
        yield _warning(
            "settings",
            f"there is no folder {settings.metrics.folder}, so nothing is counted for Prometheus",
            "Make it, or unset TRUNKLINE_METRICS_FOLDER.",
        )


def _warning(subject: str, what: str, fix: str) -> Finding:
    return Finding(subject, Level.WARNING, what, fix)


def _error(subject: str, what: str, fix: str) -> Finding:
    return Finding(subject, Level.ERROR, what, fix)


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "unix" or bool(parts.password)


def _archive_folder(settings: Settings) -> Path | None:
    location = urlsplit(settings.archive_location())
    return Path(unquote(location.path)) if location.scheme == "file" else None


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.resolve()
    if not folder.is_dir():
        yield _warning(
            "folder",
            f"there is no data folder {folder}",
            "Name it with --data or TRUNKLINE_DATA_DIR; `trunkline up` makes it.",
        )
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield _error("folder", f"{folder} cannot be written", "Give it to this user (chown -R).")
    for secret in (settings.identity_path(), folder / "faucet.json", folder / "instance.json"):
        if secret.exists() and secret.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield _error("folder", f"others may read {secret}, which is secret", f"chmod 600 {secret}")


def _disk(settings: Settings) -> Iterator[Finding]:
    for place in {settings.data_dir.resolve(), _archive_folder(settings) or settings.data_dir.resolve()}:
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        usage = shutil.disk_usage(there)
        free = usage.free / usage.total
        told = f"{free:.0%} of the disk of {place} are free ({usage.free / 2**30:.1f} GiB)"
        if free < LOW_DISK:
            level = Level.ERROR if free < FULL_DISK else Level.WARNING
            yield Finding("disk", level, told, "Free some, or move the archive: a full disk stops sealing.")
        else:
            yield Finding("disk", Level.OK, told)


def _broker(settings: Settings) -> Iterator[Finding]:
    require_servers(settings)
    yield Finding("broker", Level.OK, "it answers, or is the embedded Redis")


def _redis(settings: Settings, overview: Overview | None, clock: Clock) -> Iterator[Finding]:
    gatherer = Gatherer(settings)
    seen = gatherer.gather() if overview is None else overview
    if seen.problem:
        yield _error("redis", seen.problem, seen.fix)
        return
    yield from _server(seen)
    if overview is None:
        before = clock.time()
        server = gatherer.ledger.server_ms() / 1000
        skew = max(0.0, abs(server - before) - (clock.time() - before))
        if skew > SKEW:
            told = f"this host's clock and that of Redis' host are {span_text(skew)} apart"
            yield _warning("clock", told, "Run a time synchronisation on both (chrony, systemd-timesyncd).")
    if seen.waiting is not None and seen.waiting.clock_back:
        told = f"Redis' clock went back, by {span_text(seen.waiting.clock_back)}"
        yield _warning("clock", told, "See that host's time synchronisation; nothing waits for it.")
    work = diagnose(seen)
    levels = {"ok": Level.OK, "degraded": Level.WARNING, "stopped": Level.ERROR}
    yield Finding("work", levels[work.level], work.sentence.removesuffix("."), work.fix)


def _server(seen: Overview) -> Iterator[Finding]:
    server = seen.server
    if server is None:
        yield _warning("redis", "it tells nothing of itself", "Let our user run INFO: ACL SETUSER ... +info")
        return
    if tuple(int(part) for part in server.version.split(".")[:2]) < OLDEST_REDIS:
        yield _error("redis", f"version {server.version} is too old", "Use Redis 6.2 or newer, or Valkey.")
    if not server.aof:
        yield _error(
            "redis",
            "it keeps no append-only file: a restart loses what is accepted or processed and not yet final",
            "CONFIG SET appendonly yes, and in its configuration.",
        )
    if server.policy not in ("", "noeviction"):
        yield _error(
            "redis",
            f"maxmemory-policy {server.policy} lets it throw parts of the ledger away",
            "CONFIG SET maxmemory-policy noeviction, and in its configuration.",
        )
    if server.refuses:
        yield _error("redis", f"it takes no writes: {server.refuses}", "See its log.")
    yield from _memory(server.used, server.limit, server.total)


def _memory(used: int, limit: int, total: int) -> Iterator[Finding]:
    mebibytes = f"{used / 2**20:,.0f} MiB"
    if not limit:
        yield _warning(
            "memory",
            f"{mebibytes} used of the host's {total / 2**20:,.0f}, and no maxmemory: at the end the kernel kills Redis",
            "Set maxmemory to about three quarters of the host's memory.",
        )
    elif used / limit >= MUCH_MEMORY:
        told = f"{mebibytes} of {limit / 2**20:,.0f} are used"
        yield _warning("memory", told, "Raise maxmemory; drop dead letters, or ledgers that nobody needs.")
    else:
        yield Finding("memory", Level.OK, f"{mebibytes} of {limit / 2**20:,.0f} are used")


def _archive(settings: Settings) -> Iterator[Finding]:
    if not keeps_archive(settings):
        told = "this host has no identity key, or may not use it: it executes, and seals and restores nothing"
        yield Finding("archive", Level.OK, told)
        return
    folder = _archive_folder(settings)
    if folder is not None and folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        yield _error("archive", f"{folder} cannot be written", "Give it to the user of the workers.")
    try:
        blocks = read_blocks(settings)
        newest = blocks.newest()
        if newest is None:
            yield _warning("archive", "it holds no block of this ledger", "`trunkline init` makes the first.")
            return
        blocks.header(newest)
    except BadBlock as error:
        yield _error(
            "identity",
            f"the newest block is not believed: {error}",
            "Use the identity.json that signed it, or name its public key in TRUNKLINE_TRUSTED_KEYS; if it is damaged, "
            "`trunkline archive verify` tells more.",
        )
    except (ArchiveError, ConfigurationError) as error:
        yield _error("archive", f"it cannot be read: {error}", "Correct TRUNKLINE_ARCHIVE_URL or its access.")
    else:
        yield Finding("archive", Level.OK, f"its newest block, of slot {newest}, is signed by a key that is believed")
