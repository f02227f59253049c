"""What an error of Redis means for the ledger: an outage that passes, or a fault of the command."""

from __future__ import annotations

import pytest
import redis

from banking.ledger.redis_errors import unavailable


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (redis.ConnectionError("refused"), "Redis does not answer: refused"),
        (redis.TimeoutError("late"), "Redis does not answer: late"),
        (redis.AuthenticationError("WRONGPASS invalid username-password pair"), "Correct TRUNKLINE_REDIS_URL"),
        (redis.OutOfMemoryError("command not allowed"), "out of memory"),
        (redis.ResponseError("ERR Error running script: OOM command not allowed"), "out of memory"),
        (redis.ResponseError("MISCONF Redis is configured to save"), "Redis cannot read now: MISCONF"),
        (
            redis.ResponseError("Error running script (call to f_1): @user_script: 1: -MISCONF Redis is"),
            "Redis cannot read now: MISCONF Redis is",
        ),
        (redis.exceptions.ReadOnlyError("You can't write"), "Redis cannot read now: it is a copy"),
        (redis.ResponseError("READONLY You can't write"), "Redis cannot read now: READONLY"),
    ],
)
def test_what_passes_is_an_outage(error: redis.RedisError, told: str) -> None:
    assert told in str(unavailable(error, doing="read"))


def test_what_is_wrong_with_the_command_is_none() -> None:
    assert unavailable(redis.ResponseError("WRONGTYPE Operation against a key"), doing="read") is None
