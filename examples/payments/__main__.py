"""Start everything, send the charges, wait, show what became of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from celery.exceptions import TimeoutError as NotInTime
from celery.result import AsyncResult

from workers.supervisor.embedded_redis import EmbeddedRedis

CARDS = ["good"] * 20 + ["slow-start"] * 8 + ["dropped"] * 6 + ["declined"] * 5 + ["broken"]
WAIT_SECONDS = 60.0


def main() -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="payments-")))
        if "PAYMENTS_REDIS_URL" not in os.environ:
            os.environ["PAYMENTS_REDIS_URL"] = stack.enter_context(_redis(folder))
        os.environ["PAYMENTS_SERVICE_URL"] = stack.enter_context(_service())
        stack.enter_context(_worker())
        return _charge_all()


def _charge_all() -> int:
    from examples.payments.app import charge_card, dead_letters

    sent = [(card, charge_card.delay(card, 100 + number)) for number, card in enumerate(CARDS)]
    outcomes = Counter((card, _outcome(result)) for card, result in sent)
    books = _books()
    print(f"{'card':<12} {'outcome':<16} count")
    for (card, outcome), count in sorted(outcomes.items()):
        print(f"{card:<12} {outcome:<16} {count}")
    letters = [letter for letter in dead_letters.list() if letter.id.decode() in {result.id for _, result in sent}]
    for letter in letters:
        print(f"dead letter {letter.id.decode()}: {letter.reason} (attempts: {letter.attempts})")
    requests = sum(books["requests"].values())
    print(f"{len(sent)} charges took {requests} requests; {sum(books['charged'].values())} cards were charged.")
    expected = Counter({("good", "charged"): 20, ("slow-start", "charged"): 8, ("dropped", "charged"): 6})
    expected += Counter({("declined", "CardDeclined"): 5, ("broken", "TransientError"): 1})
    once = {result.id for card, result in sent if card not in ("declined", "broken")}
    right = outcomes == expected and books["charged"] == dict.fromkeys(once, 1) and len(letters) == 1
    print("Everything as it should be." if right else "Something is wrong.")
    return 0 if right else 1


def _outcome(result: AsyncResult[Any]) -> str:
    try:
        error = result.get(timeout=WAIT_SECONDS, propagate=False)
    except NotInTime:
        return "no outcome"
    return "charged" if result.successful() else type(error).__name__


def _books() -> dict[str, Any]:
    with urllib.request.urlopen(os.environ["PAYMENTS_SERVICE_URL"], timeout=5.0) as answer:
        books: dict[str, Any] = json.load(answer)
    return books


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    server = EmbeddedRedis(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def _service() -> Iterator[str]:
    command = [sys.executable, "-m", "examples.payments.card_service"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


@contextmanager
def _worker() -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "examples.payments.app", "worker"]
    options = ["--concurrency=2", "--loglevel=WARNING", "--without-gossip", "--without-mingle"]
    with subprocess.Popen([*command, *options]) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == "__main__":
    sys.exit(main())
