"""Commands against a ledger: what they print, what they change, how they exit."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import base58
import pytest
import redis
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.intake.dead_letters import TransactionDeadLetters
from banking.keypairs import read_keypair
from banking.ledger.worker_registry import WorkerRegistry
from config import queues
from config.settings import get_settings
from recovery.dead_letters import DeadLetter
from tasks.enqueue import BrokerUnavailable
from tests.support.cli.shell import Shell
from tests.support.ledgers import SOL, transfer_transaction


def keypair_file(folder: Path, keypair: Keypair) -> str:
    path = folder / "keypair.json"
    path.write_text(keypair.to_json())
    return str(path)


def signed(shell: Shell, source: Keypair, lamports: int) -> bytes:
    blockhash = shell.ledger.state().blockhash
    from solders.hash import Hash

    return bytes(transfer_transaction(source, Keypair().pubkey(), lamports, Hash.from_bytes(blockhash)))


@pytest.fixture
def faucet(shell: Shell) -> Keypair:
    return read_keypair(shell.folder / "faucet.json")


def test_init_makes_a_funded_faucet_once(shell: Shell, faucet: Keypair) -> None:
    before = (shell.folder / "faucet.json").read_text()
    assert (shell.folder / "faucet.json").stat().st_mode & 0o777 == 0o600
    assert shell("balance", str(faucet.pubkey())).stdout == f"{500_000_000 * SOL} lamports\n"
    again = shell("init")
    assert again.exit_code == 0
    assert "is there already" in again.stdout
    assert str(faucet.pubkey()) in again.stdout
    assert (shell.folder / "faucet.json").read_text() == before


def test_init_refuses_another_ledgers_faucet(shell: Shell) -> None:
    (shell.folder / "faucet.json").write_text(Keypair().to_json())
    result = shell("init")
    assert result.exit_code == 1
    assert "another ledger" in result.stderr


def test_init_without_the_key_of_a_ledger_made_elsewhere(shell: Shell) -> None:
    (shell.folder / "faucet.json").unlink()
    assert "no airdrops from here" in shell("init").stdout
    assert not (shell.folder / "faucet.json").exists()
    result = shell("airdrop", str(Keypair().pubkey()), "1000000")
    assert result.exit_code == 1
    assert "faucet" in result.stderr


def test_airdrop_and_balance(shell: Shell) -> None:
    target = str(Keypair().pubkey())
    result = shell("airdrop", target, str(SOL))
    assert result.exit_code == 0, result.stderr
    signature, outcome = result.stdout.splitlines()
    assert len(base58.b58decode(signature)) == 64
    assert outcome.startswith("processed in slot ")
    assert shell("balance", target).stdout == f"{SOL} lamports\n"


def test_equal_airdrops_are_two_airdrops(shell: Shell) -> None:
    target = str(Keypair().pubkey())
    for _ in range(3):
        assert shell("airdrop", target, str(SOL)).exit_code == 0
    assert shell("balance", target).stdout == f"{3 * SOL} lamports\n"


def test_no_airdrop_and_no_load_in_production(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from config.settings import override_environment

    override_environment(profile="prod")
    for args in (["airdrop", str(Keypair().pubkey()), "5"], ["load", "--count", "1", "--accounts", "2"]):
        result = shell(*args)
        assert result.exit_code == 1
        assert "profile is prod" in result.stderr
    assert shell.ledger.state().accepted == 0


def test_transfer(shell: Shell, tmp_path: Path) -> None:
    source, target = Keypair(), str(Keypair().pubkey())
    shell("airdrop", str(source.pubkey()), str(SOL))
    file = keypair_file(tmp_path, source)
    result = shell("transfer", "--from", file, "--to", target, "--lamports", "10000000")
    assert result.exit_code == 0, result.stderr
    assert shell("balance", target).stdout == "10000000 lamports\n"
    assert shell("balance", str(source.pubkey())).stdout == f"{SOL - 10_000_000 - 5000} lamports\n"


def test_failed_outcome_is_code_1_with_solanas_own_words(shell: Shell, tmp_path: Path) -> None:
    source = Keypair()
    shell("airdrop", str(source.pubkey()), str(SOL))
    file = keypair_file(tmp_path, source)
    result = shell("transfer", "--from", file, "--to", str(Keypair().pubkey()), "--lamports", str(2 * SOL))
    assert result.exit_code == 1
    assert "insufficient lamports" in result.stderr
    assert "InstructionError" in result.stderr


def test_without_workers_no_wait_returns_and_waiting_ends(shell: Shell) -> None:
    shell.enqueue = lambda raws: None
    result = shell("airdrop", str(Keypair().pubkey()), "5", "--no-wait")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1] == "accepted"
    result = shell("airdrop", str(Keypair().pubkey()), "5", "--timeout", "0.1")
    assert result.exit_code == 1
    assert "do not send it again" in result.stderr
    assert shell.json("status")["backlog"] == 2


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), ("[1, 2]", "no keypair"), ("not json", "no keypair")]
)
def test_bad_keypair_files(shell: Shell, tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "bad.json"
    if content is not None:
        file.write_text(content)
    result = shell("transfer", "--from", str(file), "--to", str(Keypair().pubkey()), "--lamports", "1")
    assert result.exit_code == 1
    assert words in result.stderr
    assert str(file) in result.stderr


def test_submit_tells_each_kind_of_line(shell: Shell, faucet: Keypair, tmp_path: Path) -> None:
    good, other = signed(shell, faucet, SOL), signed(shell, faucet, 2 * SOL)
    forged = good[:10] + bytes([good[10] ^ 1]) + good[11:]
    poor = signed(shell, Keypair(), SOL)
    lines = [
        "# a comment",
        base64.b64encode(good).decode(),
        "",
        base58.b58encode(other).decode(),
        base64.b64encode(good).decode(),
        "garbage!",
        base64.b64encode(forged).decode(),
        base64.b64encode(good + b"x").decode(),
        "A" * 1_000_000,
        base64.b64encode(poor).decode(),
    ]
    file = tmp_path / "transactions.txt"
    file.write_text("\n".join(lines))
    result = shell("submit", str(file), "--wait")
    assert result.exit_code == 1
    told = {line.split(":")[0]: line for line in result.stdout.splitlines()}
    assert "duplicate" in told["line 5"]
    assert "not base64 and not base58" in told["line 6"]
    assert "SignatureFailure" in told["line 7"]
    assert "malformed" in told["line 8"]
    assert "not a transaction" in told["line 9"]
    assert "AccountNotFound" in told["line 10"]
    assert result.stdout.splitlines()[-1] == ("3 accepted, 1 duplicate, 4 rejected, 2 processed, 1 failed, 0 dead")
    state = shell.ledger.state()
    assert (state.processed, state.failed, state.refused) == (2, 0, 1)


def test_submit_from_a_pipe(shell: Shell, faucet: Keypair) -> None:
    line = base64.b64encode(signed(shell, faucet, SOL)).decode()
    result = shell("submit", "-", stdin=line)
    assert (result.exit_code, result.stdout) == (0, "1 accepted, 0 duplicate, 0 rejected\n")
    again = shell("submit", "-", "--wait", stdin=line + "\n")
    assert again.exit_code == 0
    assert "processed before" in again.stdout
    assert "1 duplicate" in again.stdout
    assert shell("submit", "-", stdin="").stdout == "0 accepted, 0 duplicate, 0 rejected\n"


def test_submit_gives_up_when_nothing_moves(shell: Shell, faucet: Keypair) -> None:
    shell.enqueue = lambda raws: None
    line = base64.b64encode(signed(shell, faucet, SOL)).decode()
    result = shell("submit", "-", "--wait", "--timeout", "0.1", stdin=line)
    assert result.exit_code == 1
    assert "1 without an outcome yet" in result.stdout
    assert "Nothing moved" in result.stderr


def test_status_json(shell: Shell) -> None:
    shell("airdrop", str(Keypair().pubkey()), str(SOL))
    WorkerRegistry(shell.client, "main").heartbeat("tx1@here", 42, [queues.TRANSACTIONS])
    facts = shell.json("status")
    state = shell.ledger.state()
    assert facts["ledger"] == "main"
    assert facts["slot"] == state.slot
    assert base58.b58decode(facts["blockhash"]) == state.blockhash
    assert [facts[name] for name in ("processed", "failed", "backlog", "parked", "dead")] == [1, 0, 0, 0, 0]
    assert facts["workers"] == [{"name": "tx1@here", "pid": 42, "queues": ["transactions"], "epoch": 1}]
    assert facts["redis_url"] == facts["broker_url"] == "redis://:secret@fake:6379/0"
    assert facts["flower_url"] is None


def test_status_for_people_hides_the_password(shell: Shell) -> None:
    result = shell("status")
    assert result.exit_code == 0
    assert "secret" not in result.stdout
    assert "No worker consumes" in result.stdout


def test_status_says_why_work_has_stopped_and_what_to_do(shell: Shell) -> None:
    work, fix, *_ = shell("status").stdout.splitlines()
    assert work == "Work          Work has stopped: no worker takes transactions."
    assert "trunkline up" in fix
    assert shell.json("status")["work"] == work.removeprefix("Work").strip()


def test_status_is_watched_also_while_redis_is_away(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.cli.commands.status._WATCH_SECONDS", 0.05)
    watched = shell("status", "--watch", "--for", "0.2s").stdout
    assert watched.count("Work has stopped: no worker takes transactions.") >= 2

    def away(*args: object, **options: object) -> None:
        raise redis.ConnectionError("Connection refused.")

    monkeypatch.setattr(shell.client.connection_pool, "get_connection", away)
    result = shell("status", "--watch", "--for", "0.2s")
    assert result.exit_code == 0
    assert "Work has stopped: Redis at redis://:***@fake:6379/0 does not answer: Connection refused." in result.stdout
    assert shell("status", "--watch", "--json").exit_code == 2


def test_status_waits_for_both_kinds_of_worker(shell: Shell) -> None:
    registry = WorkerRegistry(shell.client, "main")
    registry.heartbeat("tx1@here", 42, [queues.TRANSACTIONS])
    result = shell("status", "--wait", "0.1")
    assert result.exit_code == 1
    assert "0 of 1 maintenance" in result.stderr
    registry.heartbeat("maintenance@here", 43, [queues.MAINTENANCE])
    assert shell("status", "--wait", "0").exit_code == 0


def test_audit(shell: Shell, faucet: Keypair) -> None:
    shell("airdrop", str(Keypair().pubkey()), str(SOL))
    report = shell.json("audit")
    assert report["ok"] is True
    assert {"id", "ok", "detail"} == set(report["checks"][0])
    assert report["transactions"] == 1
    assert report["lamports"] == 500_000_000 * SOL + sum_of_programs(shell) - 5000
    assert "The audit holds" in shell("audit").stdout


def sum_of_programs(shell: Shell) -> int:
    return shell.ledger.state().supply - 500_000_000 * SOL


def test_a_broken_promise_is_code_1(shell: Shell, faucet: Keypair) -> None:
    key = bytes(faucet.pubkey())
    accounts = shell.ledger.epoch_keys.accounts
    stored: Any = shell.client.hget(accounts, cast("Any", key))
    shell.client.hset(accounts, key, b"\xff" + stored[1:])
    result = shell("audit")
    assert result.exit_code == 1
    assert "FAILED  I1" in result.stdout
    as_json = shell("audit", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["ok"] is False


@pytest.fixture
def dead(shell: Shell, faucet: Keypair) -> str:
    """The signature of a transaction that became a dead letter."""
    enqueued: list[bytes] = []
    process, shell.enqueue = shell.enqueue, enqueued.extend
    shell("submit", "-", stdin=base64.b64encode(signed(shell, faucet, SOL)).decode())
    shell.enqueue = process
    [raw] = enqueued
    assert TransactionDeadLetters(shell.ledger).add(raw[1:65], raw, "worker died 3 times while running it", 3)
    return base58.b58encode(raw[1:65]).decode()


def test_dead_letters_are_listed_and_shown(shell: Shell, dead: str) -> None:
    assert dead in shell("deadletter", "list").stdout
    [letter] = [json.loads(line) for line in shell("deadletter", "list", "--json").stdout.splitlines()]
    assert (letter["id"], letter["kind"], letter["attempts"]) == (dead, "transaction", 3)
    shown = json.loads(shell("deadletter", "show", dead).stdout)
    assert base64.b64decode(shown["payload"])[1:65] == base58.b58decode(dead)
    facts = shell.json("status")
    assert (facts["dead"], facts["dead_full"]) == (1, False)
    assert facts["dead_bytes"] > len(base64.b64decode(shown["payload"]))


def test_full_dead_letters_are_told(shell: Shell, dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "FULL" not in shell("status").stdout
    monkeypatch.setenv("TRUNKLINE_DEAD_LETTER_LIMIT", "1")
    get_settings.cache_clear()
    assert shell.json("status")["dead_full"] is True
    assert "FULL: nothing is accepted" in shell("status").stdout
    shell("deadletter", "drop", dead)
    assert shell.json("status")["dead_bytes"] == 0


@pytest.mark.parametrize("which", ["by id", "all"])
def test_a_replayed_transaction_gets_its_outcome(shell: Shell, dead: str, which: str) -> None:
    result = shell("deadletter", "replay", dead if which == "by id" else "--all")
    assert result.exit_code == 0, result.stderr
    assert "back in intake" in result.stdout
    facts = shell.json("status")
    assert (facts["dead"], facts["processed"], facts["backlog"]) == (0, 1, 0)
    assert shell.json("audit")["ok"]


def test_a_replay_that_is_killed_before_it_publishes_loses_nothing(shell: Shell, dead: str) -> None:
    shell.enqueue = lambda raws: None
    shell("deadletter", "replay", dead)
    sweep = shell.intake.sweep(grace=0, queue_empty=True, limit=10)
    assert [raw[1:65] for raw in sweep.lost] == [base58.b58decode(dead)]


def test_a_replay_without_a_broker_is_left_to_the_sweeper(shell: Shell, dead: str) -> None:
    def away(raws: Sequence[bytes]) -> None:
        # What `enqueue` makes of all that a broker may say.
        raise BrokerUnavailable("the broker did not take the messages: refused")

    shell.enqueue = away
    result = shell("deadletter", "replay", dead)
    assert result.exit_code == 0
    assert "back in intake" in result.stdout
    assert "sweeper" in result.stderr
    assert shell.json("status")["backlog"] == 1


def test_drop(shell: Shell, dead: str) -> None:
    assert shell("deadletter", "drop", dead).exit_code == 0
    assert shell("deadletter", "list").stdout == "No dead letters.\n"
    assert shell.json("audit")["ok"]
    for verb in ("drop", "show", "replay"):
        result = shell("deadletter", verb, dead)
        assert result.exit_code == 1
        assert f"no dead letter {dead}" in result.stderr


def test_what_never_was_a_transaction_cannot_be_replayed(shell: Shell, dead: str) -> None:
    TransactionDeadLetters(shell.ledger).add_foreign(b"malformed-1", b"what is this", "not base64 and not base58")
    result = shell("deadletter", "replay", "malformed-1")
    assert result.exit_code == 1
    assert "drop" in result.stderr
    everything = shell("deadletter", "replay", "--all")
    assert everything.exit_code == 1
    assert "back in intake" in everything.stdout
    # What was refused is still there to be looked at.
    shown = json.loads(shell("deadletter", "show", "malformed-1").stdout)
    assert (shown["kind"], shown["reason"]) == ("malformed", "not base64 and not base58")
    assert "what is this" in json.dumps(shown)


def test_a_given_up_task_is_sent_again(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[DeadLetter] = []
    monkeypatch.setattr("workers.overview.replaying.send_again", lambda app, letter: sent.append(letter))
    letter = DeadLetter(
        id=b"task-1", kind=queues.SWEEP, payload=b"{}", reason="bug", attempts=1, first_at=1.0, last_at=2.0
    )
    TransactionDeadLetters(shell.ledger).letters.add(letter)
    assert shell("deadletter", "replay", "task-1").exit_code == 0
    assert sent == [letter]
    assert shell("deadletter", "list").stdout == "No dead letters.\n"


def test_load_counts_every_outcome(shell: Shell) -> None:
    result = shell("load", "--count", "300", "--accounts", "25")
    assert result.exit_code == 0, result.stderr
    assert "processed 300" in result.stdout
    state = shell.ledger.state()
    assert (state.processed, state.failed) == (302, 0)  # with two transactions that funded the accounts


def test_load_with_failures_is_code_1(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.loadgen.generator.LoadOrder.funds", 900_000)
    result = shell("load", "--count", "50", "--accounts", "3")
    assert result.exit_code == 1
    assert "were not processed" in result.stderr


def test_pubkeys_are_checked_before_anything_is_sent(shell: Shell) -> None:
    result = shell("airdrop", str(Pubkey.default())[:-1], "5")
    assert result.exit_code == 2
    assert "base58" in result.stderr
