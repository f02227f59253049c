"""The outermost command, `trunkline`, on which every command of `commands/` registers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workers.cli.base import Program

if TYPE_CHECKING:
    from recovery.degradation import DegradationManager


@click.group(name="main", cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trunkline", prog_name="trunkline")
@click.pass_context
def trunkline(context: click.Context) -> None:
    """Trunkline: a fault-tolerant Solana transaction pipeline on Celery and Redis."""
    # What `mode` works on; tests put another in its place.
    context.obj = context.obj or _degradation_manager


def _degradation_manager() -> DegradationManager:
    from tasks.runtime import runtime

    parts = runtime()
    # A Redis that is away or refuses us is reported once and in full; the modes would go on with a warning only.
    # TIME, not PING: on a full disk Redis refuses that as if it were a write (MISCONF).
    parts.ledger.server_ms()
    return parts.degradation
