"""What a sandbox can do from the command line; each test shows what it did to the ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from banking.execution.executor import SvmExecutor
from banking.execution.stage import BankingStage
from banking.keypairs import read_keypair
from banking.ledger.ledger import Ledger
from banking.ledger.records import Outcome
from banking.transaction import SignedTransaction, verify
from config.settings import override_environment
from tests.support.cli.shell import Shell
from tests.support.ledgers import SOL, transfer_transaction
from tests.support.programs import elf


@pytest.fixture
def faucet(shell: Shell) -> Keypair:
    return read_keypair(shell.folder / "faucet.json")


def process(ledger: Ledger, transaction: SignedTransaction) -> Outcome:
    BankingStage(ledger, SvmExecutor()).process([transaction])
    (outcome,) = ledger.outcomes([transaction.signature])
    assert outcome is not None
    return outcome


def payment(shell: Shell, faucet: Keypair, target: Pubkey) -> SignedTransaction:
    return verify(bytes(transfer_transaction(faucet, target, SOL, Hash(shell.ledger.state().blockhash))))


def pay(shell: Shell, faucet: Keypair, target: Pubkey) -> None:
    assert process(shell.ledger, payment(shell, faucet, target)).ok


def test_a_program_loaded_at_init_runs(shell: Shell, faucet: Keypair, tmp_path: Path) -> None:
    address, file = Pubkey.new_unique(), tmp_path / "greeting.so"
    file.write_bytes(elf(b"Hello from"))
    override_environment(ledger="other")
    made = shell("init", "--bpf-program", str(address), str(file))
    assert made.exit_code == 0, made.stderr
    ledger = Ledger(shell.client, "other")
    called = Instruction(address, b"hi", [AccountMeta(faucet.pubkey(), True, False)])
    message = Message.new_with_blockhash([called], faucet.pubkey(), Hash(ledger.state().blockhash))
    transaction = verify(bytes(VersionedTransaction(message, [faucet])))
    outcome = process(ledger, transaction)
    assert outcome.err is None
    assert any("Hello from" in line for line in outcome.logs)


def test_a_file_that_is_no_program_makes_no_ledger(shell: Shell, tmp_path: Path) -> None:
    override_environment(ledger="other")
    for content in (b"text", b"\x7fELF and nothing more"):
        (tmp_path / "bad.so").write_bytes(content)
        result = shell("init", "--bpf-program", str(Pubkey.new_unique()), str(tmp_path / "bad.so"))
        assert result.exit_code == 1
        assert "bad.so is no program" in result.stderr
    assert not Ledger(shell.client, "other").exists()


def test_no_program_is_loaded_in_production(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "good.so").write_bytes(elf())
    override_environment(ledger="other", profile="prod")
    result = shell("init", "--bpf-program", str(Pubkey.new_unique()), str(tmp_path / "good.so"))
    assert result.exit_code == 1
    assert "profile is prod" in result.stderr
    assert not Ledger(shell.client, "other").exists()


def test_a_dumped_account_goes_into_another_ledger(shell: Shell, faucet: Keypair, tmp_path: Path) -> None:
    target, folder = str(Keypair().pubkey()), tmp_path / "accounts"
    folder.mkdir()
    pay(shell, faucet, Pubkey.from_string(target))
    dumped = shell("account", "dump", target, str(folder / "one.json"))
    assert dumped.exit_code == 0, dumped.stderr
    assert json.loads((folder / "one.json").read_text()) == shell.json("account", "show", target)
    assert "1 SOL (1000000000 lamports)" in shell("account", "show", target).stdout
    override_environment(ledger="other")
    assert shell("init", "--account-dir", str(folder)).exit_code == 0
    assert shell("balance", target).stdout == f"{SOL} lamports\n"


def test_an_account_that_is_not_there_is_neither_shown_nor_dumped(shell: Shell, tmp_path: Path) -> None:
    nobody = str(Keypair().pubkey())
    assert "There is no account" in shell("account", "show", nobody).stderr
    assert shell("account", "dump", nobody, str(tmp_path / "x.json")).exit_code == 1
    assert not (tmp_path / "x.json").exists()


def test_a_warp_expires_blockhashes_and_leaves_a_sound_chain(shell: Shell, faucet: Keypair) -> None:
    late = payment(shell, faucet, Pubkey.new_unique())
    before = shell.ledger.state().slot
    result = shell("slot", "warp", "151", "--by")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"From slot {before} to slot {before + 151} in ")
    assert shell.ledger.state().slot == before + 151
    pay(shell, faucet, Pubkey.new_unique())
    assert process(shell.ledger, late).err == '"BlockhashNotFound"'
    assert shell("slot", "warp", "1", "--by").exit_code == 0
    audited = shell("audit", "--replay")
    assert audited.exit_code == 0, audited.stdout
    assert shell.json("block", "show", str(before + 100))["transactions"] == []


def test_time_travels_forwards_only_and_not_in_production(shell: Shell) -> None:
    assert shell("slot", "warp", "10").exit_code == 0
    assert "forwards only" in shell("slot", "warp", "5").stderr
    assert "too many" in shell("slot", "warp", "900000000").stderr
    override_environment(profile="prod")
    assert "profile is prod" in shell("slot", "warp", "20").stderr
    assert "profile is prod" in shell("init", "--warp-slot", "20").stderr
    assert shell.ledger.state().slot == 10


def test_init_begins_at_a_later_slot_once(shell: Shell) -> None:
    override_environment(ledger="other")
    for said in ("Slot 40 is open, after", "Slot 40 is open: no need"):
        result = shell("init", "--warp-slot", "40")
        assert result.exit_code == 0, result.stderr
        assert said in result.stdout
    assert Ledger(shell.client, "other").state().slot == 40
