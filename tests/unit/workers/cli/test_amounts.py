"""Amounts on the command line: exact, and never guessed."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from tests.support.cli.shell import Shell, run
from workers.cli.arguments import LAMPORTS, in_sol

SOL = 10**9
SOMEBODY = "11111111111111111111111111111112"


def parsed(text: str) -> int:
    return LAMPORTS.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "lamports"),
    [
        ("1", 1),
        ("5000000000", 5 * SOL),
        ("5_000", 5000),
        ("7 lamports", 7),
        ("1lamport", 1),
        ("1SOL", SOL),
        ("1.5SOL", 1_500_000_000),
        ("1.5 sol", 1_500_000_000),
        (" 1.5  Sol ", 1_500_000_000),
        (".5sol", SOL // 2),
        ("2.sol", 2 * SOL),
        ("0.000000001SOL", 1),
        ("0.1SOL", 100_000_000),
        ("1.10000000000SOL", 1_100_000_000),
        # Where binary floating point goes wrong: 0.29 * 1e9 is 289999999.99...
        ("0.29SOL", 290_000_000),
        ("9223372036.854775807SOL", 2**63 - 1),
    ],
)
def test_what_people_write(text: str, lamports: int) -> None:
    assert parsed(text) == lamports


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1.5", "write 1.5SOL, or a whole number of lamports"),
        ("much", "write an amount like 1.5SOL or 1500000000"),
        ("", "write an amount like 1.5SOL"),
        ("SOL", "write an amount like 1.5SOL"),
        (".SOL", "write an amount like 1.5SOL"),
        ("1e9", "write an amount like 1.5SOL"),
        ("1,5SOL", "write an amount like 1.5SOL"),
        ("-1SOL", "write an amount like 1.5SOL"),
        ("nan", "write an amount like 1.5SOL"),
        ("infSOL", "write an amount like 1.5SOL"),
        ("١SOL", "write an amount like 1.5SOL"),
        ("1.0000000001SOL", "a lamport is 0.000000001 SOL, and nothing is smaller"),
        ("1.5 lamports", "a lamport is 0.000000001 SOL, and nothing is smaller"),
        ("0", "more than nothing"),
        ("0.0SOL", "more than nothing"),
        ("9223372036.854775808SOL", "no ledger holds more than 9223372036.854775807 SOL"),
        ("9" * 5000, "no ledger holds more than"),
        ("9" * 5000 + "SOL", "no ledger holds more than"),
        ("0." + "0" * 5000 + "1SOL", "nothing is smaller"),
    ],
)
def test_what_is_refused_says_what_to_write(text: str, words: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        parsed(text)
    assert words in caught.value.message
    assert len(caught.value.message) < 250


@given(st.integers(1, 2**63 - 1))
def test_sol_and_lamports_are_the_same_amount(lamports: int) -> None:
    assert parsed(f"{in_sol(lamports)}SOL") == parsed(str(lamports)) == lamports


@pytest.mark.parametrize(
    ("lamports", "shown"), [(0, "0"), (1, "0.000000001"), (SOL, "1"), (1_500_000_000, "1.5"), (10 * SOL, "10")]
)
def test_amounts_are_shown_without_needless_zeros(lamports: int, shown: str) -> None:
    assert in_sol(lamports) == shown


@pytest.mark.parametrize("amount", [["1.5SOL"], ["1.5 sol"], ["1.5", "sol"], ["1500000000"]])
def test_an_airdrop_in_every_spelling(shell: Shell, amount: list[str]) -> None:
    target = str(Keypair().pubkey())
    result = shell("airdrop", target, *amount)
    assert result.exit_code == 0, result.stderr
    assert shell("balance", target).stdout == "1500000000 lamports\n"


def test_a_wrong_amount_is_wrong_usage_and_moves_nothing(shell: Shell) -> None:
    transfer = ("transfer", "--from", str(shell.folder / "faucet.json"), "--to", SOMEBODY)
    cases: list[tuple[tuple[str, ...], str]] = [
        (("airdrop", SOMEBODY, "1.5"), "1.5SOL"),
        (("airdrop", SOMEBODY), "Missing"),
        ((*transfer, "--amount", "1.5"), "1.5SOL"),
        ((*transfer, "--lamports", "0"), "more than nothing"),
    ]
    for args, words in cases:
        result = shell(*args)
        assert result.exit_code == 2, args
        assert words in result.stderr
    assert shell.ledger.state().accepted == 0


def test_help_says_how_amounts_are_written(plain: Path) -> None:
    for command in ("airdrop", "transfer"):
        assert "1.5SOL" in run(command, "--help").stdout
