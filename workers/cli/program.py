"""The command line. Each command lives in `workers.cli`; this module only puts them together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workers.cli.base import Program

if TYPE_CHECKING:
    from recovery.degradation import DegradationManager


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trunkline", prog_name="trunkline")
@click.pass_context
def main(context: click.Context) -> None:
    """Trunkline: a fault-tolerant Solana transaction pipeline on Celery and Redis."""
    # What `mode` works on; tests put another in its place.
    context.obj = context.obj or _modes


def _modes() -> DegradationManager:
    from tasks.runtime import runtime

    here = runtime()
    # A Redis that is away or refuses us is told once and in full; the modes would go on by themselves, with a warning.
    # TIME, not PING: on a full disk Redis refuses that as if it were a write (MISCONF).
    here.ledger.server_ms()
    return here.degradation


def _add_commands() -> None:
    from workers.cli import (
        archive,
        audit,
        block,
        breaker,
        checkpoint,
        deadletter,
        demo,
        instance,
        join,
        keygen,
        lamports,
        ledgers,
        load,
        mode,
        rpc,
        status,
        submit,
    )

    for command in (
        instance.init,
        instance.up,
        join.join,
        demo.demo,
        status.status,
        audit.audit,
        submit.submit,
        keygen.keygen,
        lamports.transfer,
        lamports.airdrop,
        lamports.balance,
        load.load,
        deadletter.deadletter,
        block.block,
        checkpoint.checkpoint,
        archive.archive,
        ledgers.ledger,
        breaker.breaker,
        mode.mode,
        rpc.rpc,
    ):
        main.add_command(command)


_add_commands()

if __name__ == "__main__":
    main()
