"""Which checkpoints stay: the newest ones that verify, and every base they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recovery.checkpoints.manifest import Manifest
from recovery.checkpoints.verification import VerificationReport, Verifier

MIN_VERIFIED = 3


@dataclass(frozen=True)
class CleanupReport:
    """What a clean-up did. `oldest_kept` is the oldest checkpoint that is kept and was read back just now.

    Nothing that is older than `oldest_kept` is needed to restore any kept checkpoint; None: prune nothing.
    """

    kept: tuple[str, ...]
    deleted: tuple[str, ...]
    bad: tuple[VerificationReport, ...]
    incomplete: tuple[str, ...]
    oldest_kept: Manifest | None


@dataclass(frozen=True)
class RetentionPlan:
    """What to keep and what to delete, the latter in an order that never leaves an incremental without its base."""

    keep: tuple[Manifest, ...]
    delete: tuple[str, ...]
    bad: tuple[VerificationReport, ...]


def plan(newest_first: Sequence[str], verifier: Verifier, keep: int) -> RetentionPlan:
    """Keep the newest `keep` that verify completely, with their bases; delete only what is older than all of them.

    With fewer than `keep` good ones nothing is deleted. Bad ones are never deleted while they are newer than
    the oldest kept one: they are evidence, and their removal is a person's decision.
    """
    verified: dict[str, Manifest] = {}
    bad: list[VerificationReport] = []
    for checkpoint_id in newest_first:
        if len(verified) >= keep:
            break
        report = verifier.verify(checkpoint_id)
        if report.ok and report.manifest is not None:
            verified[checkpoint_id] = report.manifest
        else:
            bad.append(report)
    needed = _with_bases(verified, verifier)
    # What cannot be read now may be good, and need a base that looks unneeded.
    if len(verified) < max(keep, MIN_VERIFIED) or any(report.unreadable for report in bad):
        return RetentionPlan(tuple(needed.values()), (), tuple(bad))
    oldest_counted = min(verified)
    delete = tuple(
        checkpoint_id
        for checkpoint_id in newest_first
        if checkpoint_id < oldest_counted and checkpoint_id not in needed
    )
    return RetentionPlan(tuple(needed.values()), delete, tuple(bad))


def _with_bases(verified: dict[str, Manifest], verifier: Verifier) -> dict[str, Manifest]:
    needed = dict(verified)
    waiting = list(verified.values())
    while waiting:
        link = waiting.pop().base
        if link is None or link.id in needed:
            continue
        base = verifier.verify(link.id).manifest
        assert base is not None  # an incremental verifies only with its base
        needed[base.id] = base
        waiting.append(base)
    return needed
