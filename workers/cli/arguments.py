"""Kinds of command-line arguments."""

from __future__ import annotations

import re

import click
from solders.pubkey import Pubkey

LAMPORTS_PER_SOL = 10**9
#: Digits after the point of one SOL.
_PLACES = 9
#: More lamports than this no ledger can hold.
_MAX_LAMPORTS = 2**63 - 1
_AMOUNT = re.compile(r"(?P<whole>[0-9_]*)(?P<point>\.?)(?P<part>[0-9]*)\s*(?P<unit>sol|lamports?|)", re.IGNORECASE)


def in_sol(lamports: int) -> str:
    """`lamports` (not negative) as a decimal number of SOL, exactly."""
    whole, part = divmod(lamports, LAMPORTS_PER_SOL)
    return f"{whole}.{part:0{_PLACES}}".rstrip("0").rstrip(".")


class AmountType(click.ParamType[int]):
    """An amount as people write it, `1.5SOL` or `1500000000`, as a whole number of lamports.

    A number with a point and no unit is refused: whoever writes 1.5 does not mean lamports, and a guess would be
    wrong by a factor of a billion.
    """

    name = "amount"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = " ".join(value) if isinstance(value, tuple) else str(value)
        try:
            return _lamports(text.strip())
        except ValueError as error:
            self.fail(f"{text[:60]!r}: {error}.", param, ctx)


def _lamports(text: str) -> int:
    """Raises ValueError that says what to write."""
    found = _AMOUNT.fullmatch(text)
    whole, part = (found["whole"].replace("_", ""), found["part"].rstrip("0")) if found else ("", "")
    if found is None or not (whole or found["part"]):
        raise ValueError("write an amount like 1.5SOL or 1500000000 (lamports)")
    sol = found["unit"].lower() == "sol"
    if found["point"] and not found["unit"]:
        raise ValueError(f"write {text[:40]}SOL, or a whole number of lamports")
    if len(part) > (_PLACES if sol else 0):
        raise ValueError("a lamport is 0.000000001 SOL, and nothing is smaller")
    digits = (whole + part.ljust(_PLACES, "0") if sol else whole).lstrip("0")
    # By length first: Python refuses to make a number of thousands of digits.
    if len(digits) > len(str(_MAX_LAMPORTS)) or int(digits or 0) > _MAX_LAMPORTS:
        raise ValueError(f"no ledger holds more than {in_sol(_MAX_LAMPORTS)} SOL")
    if not digits:
        raise ValueError("it must be more than nothing")
    return int(digits)


LAMPORTS = AmountType()
AMOUNT_HELP = "1.5SOL, or lamports as a plain number"


def join_words(_context: click.Context, param: click.Parameter, words: tuple[str, ...]) -> int:
    """For an amount that comes as one or two arguments: `1.5SOL`, or `1.5 sol` without quotes."""
    return LAMPORTS.convert(words, param, _context)


_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")


class DurationType(click.ParamType[float]):
    """Seconds from text such as 30s, 10m, 2h, 1d or 45."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip().lower())
        seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
        if not 0.001 <= seconds <= 1e9:
            self.fail(f"{value!r} is no duration; write it like 30s, 10m, 2h or 1d.", param, ctx)
        return seconds


DURATION = DurationType()


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

cors_origins = click.option(
    "--cors-origins",
    metavar="ORIGINS",
    help="Origins whose web pages may use the RPC server, comma-separated, or * [default: * in dev, else none].",
)
warp_slot = click.option(
    "--warp-slot",
    type=click.IntRange(1),
    metavar="SLOT",
    help="Begin at this slot, those before it empty, unless the ledger is there already. Not in prod.",
)
