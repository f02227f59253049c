"""The wheel of `recovery` alone, in an environment that has nothing else, beside a user's own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import redis

from recovery import DeadLetters
from tests.support.waiting import wait_until
from tests.support.wheels import Environment, foreign_folder

pytestmark = [pytest.mark.real_redis, pytest.mark.timeout(300)]

#: What the environment may hold: the wheel, redis-py, msgspec.
SMALL = {"trunkline-recovery", "redis", "msgspec"}
MOST_BYTES = 20_000_000

BREAKER = """
import sys
from recovery import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError

def down():
    raise ConnectionError("down")

config = CircuitBreakerConfig(failure_threshold=2, timeout=60.0)
breaker = CircuitBreaker("upstream", config, redis=sys.argv[1])
for _ in range(3):
    try:
        breaker.call(down)
    except CircuitOpenError as refused:
        print("open", 0 < refused.retry_after <= 60)
    except ConnectionError:
        print("down")
"""

#: A worker's module: the user's file, with our task, on a broker.
SHOP = """
import os
from celery import Celery
from recovery import DeadLetters, FaultTolerantTask, RetryPolicy, TerminalError, connect

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
redis = connect(os.environ["SHOP_REDIS"])


class Payment(FaultTolerantTask):
    retry_policy = RetryPolicy(max_attempts=3, initial_delay=0.01, max_delay=0.01)
    dead_letters = DeadLetters(redis, "shop")


@app.task(base=Payment, bind=True, name="shop.charge")
def charge(self, order):
    redis.rpush("attempts:" + order, self.request.retries)
    if order == "flaky" and self.request.retries < 2:
        raise ConnectionError("card service away")
    if order == "hopeless":
        raise ConnectionError("card service away")
    redis.rpush("charged", order)
"""


@pytest.fixture(scope="module")
def environment(wheels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("recovery") / "venv")
    made.install(str(wheels["trunkline-recovery"]))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign_folder(tmp_path_factory.mktemp("beside"))


def test_it_is_small(environment: Environment) -> None:
    assert environment.names() == SMALL
    assert environment.size() < MOST_BYTES


def test_a_breaker_opens_for_the_next_process(environment: Environment, folder: Path, redis_url: str) -> None:
    run = [environment.python, "-c", BREAKER, redis_url]
    assert environment.run(*run, cwd=folder).split() == ["down", "down", "open", "True"]
    assert environment.run(*run, cwd=folder).split() == ["open", "True"] * 3


def test_a_name_that_needs_more_says_what(environment: Environment, folder: Path) -> None:
    if "celery" in environment.names():
        pytest.skip("another test has installed it")
    code = "try:\n    from recovery import FaultTolerantTask\nexcept ImportError as error:\n    print(error)"
    shown = environment.run(environment.python, "-c", code, cwd=folder)
    assert "pip install 'trunkline-recovery[celery]'" in shown


def test_a_fault_tolerant_task_needs_celery_and_no_more(
    environment: Environment, wheels: Mapping[str, Path], folder: Path, redis_url: str, redis_client: redis.Redis
) -> None:
    environment.install(f"{wheels['trunkline-recovery']}[celery]")
    assert not environment.names() & {"trunkline", "solders", "flower", "pydantic", "cryptography", "structlog"}
    (folder / "shop.py").write_text(SHOP)
    broker = redis_url.replace("unix://", "redis+socket://")
    variables = {"SHOP_REDIS": redis_url, "SHOP_BROKER": broker}
    log = folder.parent / "worker.log"
    worker = [environment.script("celery"), "-A", "shop", "worker", "--pool", "solo", "--loglevel", "INFO"]
    letters = DeadLetters(redis_client, "shop")
    with environment.running(*worker, cwd=folder, log=log, **variables):
        order = "import sys, shop\nfor one in sys.argv[1:]:\n    shop.charge.delay(one)"
        environment.run(environment.python, "-c", order, "plain", "flaky", "hopeless", cwd=folder, **variables)
        wait_until(lambda: redis_client.llen("charged") == 2 and letters.count() == 1, f"the work is done\n{log}")
    assert set(redis_client.lrange("charged", 0, -1)) == {b"plain", b"flaky"}
    assert redis_client.lrange("attempts:flaky", 0, -1) == [b"0", b"1", b"2"]
    assert [letter.kind for letter in letters.list()] == ["shop.charge"]
