"""`join`: more workers for a running instance, on any machine that reaches its Redis."""

from __future__ import annotations

from pathlib import Path

import click

from config.addresses import masked
from config.logs import configure_command
from config.settings import get_settings, override_environment
from workers.cli.base import StartingCommand
from workers.cli.root import trunkline

_SLOW = 15.0


@trunkline.command(cls=StartingCommand)
@click.argument("redis_url", metavar="REDIS_URL")
@click.option("--broker", metavar="URL", help="The broker, when it is another server than the ledger's Redis.")
@click.option("--ledger", metavar="NAME", help="The ledger [main].")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Transaction workers.")
@click.option("--trust", "trusted", multiple=True, metavar="KEY", help="Believe this key of an archive's host only.")
@click.option("--archive", metavar="DIR|s3://...", help="The shared archive: for a host that shall also seal.")
@click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A copy of identity.json, which signs blocks: for a host that shall also seal.",
)
def join(
    redis_url: str,
    broker: str | None,
    ledger: str | None,
    workers: int,
    trusted: tuple[str, ...],
    archive: str | None,
    identity: Path | None,
) -> None:
    """Run workers for the instance on the Redis at REDIS_URL, until Ctrl-C.

    They execute transactions. The archive stays where it is: its host says, signed, that it verified the ledger. With
    --archive and --identity this host also seals blocks and restores, should the other one be lost.
    """
    from workers.joining import JoinedHost, check
    from workers.supervisor.stop_signals import StopRequested

    if (archive is None) != (identity is None):
        raise click.UsageError("--archive and --identity go together: what is sealed must be signed, and kept.")
    _say_in_environment(redis_url, broker, ledger, trusted, archive, identity)
    settings = get_settings()
    found = check(settings)
    click.echo(f"Redis   {masked(settings.ledger_url())}")
    click.echo(f"Ledger  {settings.ledger.name} (id {found.ledger_id})")
    if found.signer is not None:
        pin = "" if trusted else f"; to believe no other: --trust {found.signer}"
        click.echo(f"Key     {found.signer} vouches for the ledger{pin}")
    host = JoinedHost(settings, workers=workers, maintenance=archive is not None)
    with host.run():
        configure_command(settings, "join", server=True, file=host.log_folder / "join.log")
        try:
            host.consuming(lambda text: click.echo(text, err=True), slow=_SLOW)
            click.echo(f"Joined: {workers} transaction worker{'s' if workers > 1 else ''} consume. Ctrl-C stops them.")
            host.wait()
        except StopRequested:
            click.echo("Stopping ...")
    click.echo("Stopped.")


def _say_in_environment(
    redis_url: str,
    broker: str | None,
    ledger: str | None,
    trusted: tuple[str, ...],
    archive: str | None,
    identity: Path | None,
) -> None:
    """Put the options where settings, and the workers that are started, find them."""
    given: dict[str, object] = {"redis_url": redis_url, "execute_only": archive is None}
    if broker is not None:
        given["broker_url"] = broker
    if ledger is not None:
        given["ledger"] = ledger
    if trusted:
        given["trusted_keys"] = ",".join(trusted)
    if archive is not None and identity is not None:
        given["archive_url"] = archive if "://" in archive else Path(archive).resolve().as_uri()
        given["identity"] = identity.resolve()
    override_environment(**given)
