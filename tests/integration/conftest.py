"""Pipelines for integration tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeRedis
from tests.pipelines import Pipeline

MakePipeline = Callable[..., Pipeline]


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
