"""The command line. Each command lives in `workers.console`; this module only puts them together."""

from __future__ import annotations

import click

from workers.console.base import Program


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trunkline", prog_name="trunkline")
def main() -> None:
    """Trunkline: a fault-tolerant Solana transaction pipeline on Celery and Redis."""


def _add_commands() -> None:
    from workers.console import audit, deadletter, demo, instance, lamports, load, status, submit

    for command in (
        instance.init,
        instance.up,
        demo.demo,
        status.status,
        audit.audit,
        submit.submit,
        lamports.transfer,
        lamports.airdrop,
        lamports.balance,
        load.load,
        deadletter.deadletter,
    ):
        main.add_command(command)


_add_commands()

if __name__ == "__main__":
    main()
