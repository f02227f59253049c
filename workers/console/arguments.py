"""Kinds of command-line arguments."""

from __future__ import annotations

import click
from solders.pubkey import Pubkey

#: Amounts of lamports that a ledger can hold.
LAMPORTS = click.IntRange(1, 2**63 - 1)


class PubkeyType(click.ParamType[Pubkey]):
    """A public key in base58."""

    name = "pubkey"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Pubkey:
        if isinstance(value, Pubkey):
            return value
        try:
            return Pubkey.from_string(str(value))
        except ValueError:
            self.fail(f"{str(value)[:100]!r} is no public key: expected 32 bytes in base58.", param, ctx)


PUBKEY = PubkeyType()
