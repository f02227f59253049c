"""A lost broker is looked for again soon, for as long as it takes, and by no two processes in step."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from kombu.utils import functional

from config.app import app
from config.reconnecting import AMQP, Connection
from tests.support.ports import free_port

#: The longest wait between two attempts: with the connecting, less than the five seconds that a restart may cost.
LONGEST = 2.5


def waits_of(connection: Any, attempts: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What a worker waits between attempts while nobody listens."""
    monkeypatch.setattr(functional, "sleep", lambda _: None)
    waits: list[float] = []
    with pytest.raises(OperationalError):
        connection.ensure_connection(lambda _, interval: waits.append(interval), max_retries=attempts)
    return waits


@pytest.fixture
def nobody() -> Celery:
    """An app whose broker is away."""
    return Celery(broker=f"redis://127.0.0.1:{free_port()}/0", amqp=AMQP, set_as_current=False)


def test_a_lost_broker_is_looked_for_again_soon(nobody: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody.connection_for_read() as connection:
        waits = waits_of(connection, 40, monkeypatch)
    assert waits[0] <= 0.5
    assert waits == sorted(waits)
    assert 1.0 < waits[-1] <= LONGEST


def test_no_two_come_back_in_step(nobody: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = set()
    for _ in range(10):
        with nobody.connection_for_read() as connection:
            ends.add(round(sum(waits_of(connection, 20, monkeypatch)), 2))
    assert len(ends) >= 8


def test_a_wait_that_a_publisher_chose_is_kept(nobody: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "sleep", lambda _: None)
    waits: list[float] = []
    connection: Any = nobody.connection_for_write()
    with connection, pytest.raises(OperationalError):
        connection.ensure_connection(
            lambda _, interval: waits.append(interval),
            max_retries=3,
            interval_start=0.05,
            interval_step=0.2,
            interval_max=0.5,
        )
    assert waits == pytest.approx([0.05, 0.25, 0.45])


def test_workers_and_producers_use_it() -> None:
    assert app.amqp.Connection is Connection
