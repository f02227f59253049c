"""URLs of Redis servers and brokers: which kinds there are, what is wrong with one, what a refusal means."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import redis

LEDGER_KINDS = ("redis", "rediss", "unix", "sentinel")
AMQP_KINDS = ("amqp", "amqps")
BROKER_KINDS = LEDGER_KINDS + AMQP_KINDS
#: kombu's own spellings of the same kinds.
_SPELLINGS = {"redis+socket": "unix", "pyamqp": "amqp"}


def ledger_address(url: str) -> str:
    """The URL of a ledger's Redis as redis-py spells it. Raises ValueError that says what may be written."""
    url = _spelled(url, "a ledger's Redis is at", LEDGER_KINDS)
    return _checked_redis(url)


def broker_address(url: str) -> str:
    """The URL of a broker, with `unix://` for a socket. Raises ValueError that says what may be written."""
    url = _spelled(url, "a broker is at", BROKER_KINDS) if not url.startswith("pyamqp://") else url
    if not is_amqp(url):
        return _checked_redis(url)
    if not urlsplit(url).hostname:
        raise ValueError("it names no host: write amqp://USER:PASSWORD@HOST:5672/VHOST")
    return url


def is_amqp(url: str) -> bool:
    """Whether `url` names a RabbitMQ (or another AMQP 0.9.1 server) and not a Redis."""
    return urlsplit(url).scheme in (*AMQP_KINDS, "pyamqp")


def masked(url: str) -> str:
    """`url` without its passwords, for people to see."""
    url = re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"(?<=[?&]sentinel_password=)[^&]*", "***", url)


def kombu_address(url: str) -> str:
    """A broker's URL as kombu spells it: `redis+socket://` for a Unix socket, each Sentinel with all of the login.

    And certificates are verified, as redis-py does for the ledger; kombu would believe any unless told.
    """
    if url.startswith("rediss://") and "ssl_cert_reqs=" not in url:
        return f"{url}{'&' if urlsplit(url).query else '?'}ssl_cert_reqs=required"
    if not url.startswith("sentinel://"):
        return url.replace("unix://", "redis+socket://", 1)
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    return ";".join(f"sentinel://{login}{at}{host}/{parts.path.strip('/') or 0}" for host in hosts.split(","))


def sentinel_options(url: str) -> dict[str, str]:
    """What stands behind the question mark of a `sentinel://` URL; nothing of any other."""
    return dict(parse_qsl(urlsplit(url).query)) if url.startswith("sentinel://") else {}


def refusal(error: BaseException) -> str | None:
    """Why a Redis refuses whoever asks, as a sentence that says what to do; None when `error` is something else."""
    text = str(error)
    if isinstance(error, redis.AuthenticationError):
        if "HELLO must be called" in text or "Authentication required" in text:
            return "Redis wants a password, and the URL has none: write redis://:PASSWORD@HOST:PORT/DB"
        if "without any password configured" in text:
            return "Redis has no password, but the URL has one"
        return "Redis refuses the password or the user name in the URL"
    if isinstance(error, redis.exceptions.NoPermissionError) or "NOPERM" in text:
        return f"Redis does not let the URL's user do this ({text}): allow all commands on keys tl:* and the broker's"
    return None


def _spelled(url: str, what: str, kinds: tuple[str, ...]) -> str:
    scheme, separator, rest = url.partition("://")
    scheme = _SPELLINGS.get(scheme, scheme)
    if separator and scheme in kinds:
        return f"{scheme}://{rest}"
    known = ", ".join(f"{kind}://" for kind in kinds[:-1]) + f" or {kinds[-1]}://"
    found = f"{scheme}:// is not among them" if separator else "the URL begins with none of them"
    raise ValueError(f"{what} {known}; {found}.")


def _checked_redis(url: str) -> str:
    if url.startswith("sentinel://"):
        return _checked_sentinels(url)
    _check_redis(url)
    return url


def _checked_sentinels(url: str) -> str:
    """With commas between the Sentinels (kombu's semicolon would end a shell's command), and nothing unknown in it."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.replace(";", ",").rpartition("@")
    for host in hosts.split(","):
        # Each as if it were a server's address.
        _check_redis(f"redis://{login}{at}{host}{parts.path}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not options.pop("master_name", ""):
        raise ValueError("it does not say which servers the Sentinels watch: add ?master_name=NAME")
    if unknown := sorted(options.keys() - {"sentinel_username", "sentinel_password"}):
        raise ValueError(f"unknown option {unknown[0]} behind the question mark")
    return parts._replace(netloc=f"{login}{at}{hosts}").geturl()


def _check_redis(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ValueError("it names no socket: write unix:///path/to/redis.sock")
    elif "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("a password with /, ? or # in it must be percent-encoded (%2F, %3F, %23)")
    elif not parts.hostname:
        raise ValueError("it names no host: write redis://:PASSWORD@HOST:6379/0")
    elif not _is_port(parts.netloc.rpartition("]")[2].rpartition("@")[2].partition(":")[2]):
        raise ValueError("the port is no number from 1 to 65535")
    try:
        # Makes the object without connecting: what redis-py would trip over later shows here.
        redis.ConnectionPool.from_url(url).make_connection()
    except TypeError as error:
        option = re.search(r"'(\w+)'", str(error))
        raise ValueError(f"unknown option {option[1] if option else ''} behind the question mark") from None


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536)
