"""URLs of Redis and of the broker: each kind is supported, or refused in a sentence that says which are."""

from __future__ import annotations

import pytest
import redis

from config.addresses import masked, refusal
from config.errors import ConfigurationError
from config.settings import Settings, get_settings
from tests.support.cli.shell import run

LEDGER_KINDS = "redis://, rediss://, unix:// or sentinel://"
BROKER_KINDS = "redis://, rediss://, unix://, sentinel://, amqp:// or amqps://"


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://:secret@host:6379/0",
        "rediss://user:secret@host:6380/1",
        "unix:///run/redis.sock",
        "unix://:secret@/run/redis.sock?db=2",
        "redis+socket:///run/redis.sock",
        "sentinel://one:26379?master_name=main",
        "sentinel://user:secret@one:26379,two,three:26380/3?master_name=main&sentinel_password=other",
    ],
)
def test_kinds_that_a_ledger_may_be_at(url: str) -> None:
    assert Settings.from_variables(redis_url=url).ledger_url() == url.replace("redis+socket", "unix")


@pytest.mark.parametrize(
    ("url", "spoken"),
    [
        ("amqp://guest:guest@host:5672//", "amqp://guest:guest@host:5672//"),
        ("amqps://host/vhost", "amqps://host/vhost"),
        ("pyamqp://host//", "pyamqp://host//"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock"),
        ("redis://host", "redis://host"),
        ("rediss://host", "rediss://host?ssl_cert_reqs=required"),
        ("rediss://host/0?ssl_ca_certs=/ca.pem", "rediss://host/0?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required"),
        ("rediss://host/0?ssl_cert_reqs=none", "rediss://host/0?ssl_cert_reqs=none"),
        (
            "sentinel://:secret@one:1;two:2/3?master_name=main",
            "sentinel://:secret@one:1/3;sentinel://:secret@two:2/3",
        ),
    ],
)
def test_kinds_that_a_broker_may_be_at(url: str, spoken: str) -> None:
    assert Settings.from_variables(redis_url="redis://host", broker_url=url).celery_url() == spoken


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h/x",
        "amqp://host",
        "http://host",
        "host:6379",
        "host",
        "redis-cluster://h",
    ],
)
@pytest.mark.usefixtures("plain")
def test_another_kind_of_ledger_is_refused_with_those_there_are(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", url)
    for command in ("status", "up", "init"):
        result = run(command)
        assert result.exit_code == 1
        [line] = result.stderr.splitlines()
        assert "TRUNKLINE_REDIS_URL" in line
        assert LEDGER_KINDS in line
        assert "bug" not in line


@pytest.mark.parametrize("url", ["redis+sentinel://host:26379", "sqs://", "memory://", "kafka://host"])
@pytest.mark.usefixtures("plain")
def test_another_kind_of_broker_is_refused_with_those_there_are(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("TRUNKLINE_BROKER_URL", url)
    for command in ("status", "up"):
        result = run(command)
        assert result.exit_code == 1
        [line] = result.stderr.splitlines()
        assert "TRUNKLINE_BROKER_URL" in line
        assert BROKER_KINDS in line


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sentinel://host", "master_name=NAME"),
        ("sentinel://one,two:x?master_name=x", "port"),
        ("sentinel://one,?master_name=x", "names no host"),
        ("sentinel://one?master_name=x&password=secret", "unknown option password"),
        ("redis://host:port/0", "port"),
        ("redis://host:99999/0", "port"),
        ("redis://:se/cret@host:6379/0", "percent-encoded"),
        ("redis://", "names no host"),
        ("redis://:secret@:6379", "names no host"),
        ("unix://", "names no socket"),
        ("redis://host/0?no_such_option=1", "no_such_option"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(
    url: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", url)
    get_settings.cache_clear()
    with pytest.raises(ConfigurationError) as caught:
        get_settings()
    assert words in str(caught.value)
    assert "cret" not in str(caught.value)


def test_every_password_of_a_url_is_masked() -> None:
    url = "sentinel://user:secret@one,two/0?master_name=x&sentinel_password=secret"
    settings = Settings.from_variables(redis_url=url)
    for shown in (masked(url), masked(settings.celery_url()), repr(settings)):
        assert "secret" not in shown
        assert "two" in shown


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            redis.AuthenticationError("HELLO must be called with the client already authenticated, ..."),
            "wants a password",
        ),
        (redis.AuthenticationError("Authentication required."), "wants a password"),
        (redis.AuthenticationError("invalid username-password pair or user is disabled."), "refuses the password"),
        (redis.AuthenticationError("AUTH <password> called without any password configured"), "has no password"),
        (redis.exceptions.NoPermissionError("this user has no permissions to run the 'set' command"), "'set' command"),
    ],
)
def test_what_redis_says_becomes_what_to_do(error: redis.RedisError, words: str) -> None:
    assert words in str(refusal(error))
    assert "HELLO" not in str(refusal(error))


def test_a_server_that_is_away_is_no_refusal() -> None:
    assert refusal(redis.ConnectionError("Error 111 connecting to host:1. Connection refused.")) is None
