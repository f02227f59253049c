"""Redis for tests: one real server for the session, more on request, and a fake beside it for contract suites."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis

from config.settings import get_settings
from recovery.connections import connect
from tests.support.archive.faults import COMPILER, build_shim
from tests.support.pipelines import MakePipeline, Pipeline
from tests.support.redis_servers import MakeRedis
from workers.supervisor.embedded_redis import EmbeddedRedis
from workers.supervisor.redis_binary import NoRedisServer, redis_binaries


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", action="store_true", help="Also run the long tests in tests/chaos.")
    parser.addoption("--pictures", action="store_true", help="Take the pictures in docs/images anew.")


def _require_server() -> None:
    """Without a server program a laptop skips; in CI that would be a hole in the gate, so it fails."""
    try:
        redis_binaries()
    except NoRedisServer as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """The session's server. Do not kill it: use `make_redis` for that."""
    _require_server()
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> Iterator[str]:
    """The URL of the session's server, emptied before and after."""
    with connect(redis_server.url) as client:
        client.flushall()
        yield redis_server.url
        client.flushall()


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the session's server, which holds nothing at the start."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def make_redis(tmp_path: Path) -> Iterator[MakeRedis]:
    """Starts servers that the test may kill: `make_redis(fsync=Fsync.ALWAYS)`; takes EmbeddedRedis' options."""
    _require_server()
    numbers = itertools.count()
    servers: list[EmbeddedRedis] = []

    def make(folder: Path | None = None, **options: Any) -> EmbeddedRedis:
        server = EmbeddedRedis(folder or tmp_path / f"redis{next(numbers)}", **options)
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.real_redis)])
def any_redis(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """An empty Redis, once fakeredis (with Lua) and once a real server: for suites that hold on both."""
    if request.param == "fake":
        fake: redis.Redis = fakeredis.FakeRedis(version=(6, 2))
        yield fake
        fake.close()
    else:
        yield request.getfixturevalue("redis_client")


@pytest.fixture
def make_pipeline(tmp_path: Path, make_redis: MakeRedis) -> Iterator[MakePipeline]:
    """`make_pipeline(redis_url, broker_url, **settings)`: a ledger and producers; start workers on it as needed.

    Without a URL it gets a Redis server of its own.
    """
    numbers = itertools.count()
    pipelines: list[Pipeline] = []

    def make(redis_url: str = "", broker_url: str = "", **options: object) -> Pipeline:
        folder = tmp_path / f"pipeline{next(numbers)}"
        folder.mkdir()
        pipeline = Pipeline(folder, redis_url or make_redis().url, broker_url, **options)
        pipelines.append(pipeline)
        return pipeline

    yield make
    for pipeline in pipelines:
        pipeline.close()


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without an instance; returns its data folder."""
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "data"
    # Set, not only deleted, so that what commands put there is undone.
    monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(folder))
    monkeypatch.setenv("TRUNKLINE_PROFILE", "dev")
    get_settings.cache_clear()
    return folder


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls of the file system fail; see `tests/support/archive/faults.c`."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    return build_shim(tmp_path_factory.mktemp("shim"))
