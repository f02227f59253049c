"""Accounts of another cluster, for the first block of a ledger; asked through the breaker `upstream:<host>`."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import redis
from solders.pubkey import Pubkey

from banking.admin.fixtures import BadAccount, account_from_json
from banking.execution.account_access import program_data_key
from recovery.breaker import CircuitBreaker, CircuitBreakerConfig
from recovery.errors import TerminalError, TransientError
from recovery.guarded import Guard
from recovery.retry.policy import RetryPolicy

_PAGE = 100
_TIMEOUT_SECONDS = 20.0
_MAX_ANSWER_BYTES = 512 * 1024 * 1024


class UpstreamUnavailable(TransientError):
    """The upstream RPC server does not answer."""


class UpstreamRefused(TerminalError):
    """The upstream RPC server answered, but not with the accounts."""


def upstream_breaker(url: str, client: redis.Redis | str | None = None, namespace: str = "") -> CircuitBreaker:
    """The breaker of an upstream server, shared through `client` when there is one."""
    host = urlsplit(url).hostname or url
    config = CircuitBreakerConfig.preset("rpc")
    if client is None:
        return CircuitBreaker(f"upstream:{host}", config)
    return CircuitBreaker(f"upstream:{host}", config, redis=client, namespace=namespace)


def clone_accounts(url: str, keys: Iterable[Pubkey], *, breaker: CircuitBreaker | None = None) -> dict[bytes, bytes]:
    """Key to record of `keys` at `url`, with the code of the upgradeable programs among them.

    Raises UpstreamUnavailable after the attempts of the policy `network`, CircuitOpenError, UpstreamRefused (also for
    an account that is not there), BadAccount.
    """
    upstream = breaker or upstream_breaker(url)
    retrying = RetryPolicy.preset("network").using(name=f"clone from {upstream.name}")
    guard = Guard(breaker=upstream, retrying=retrying)
    wanted = list(dict.fromkeys(keys))
    cloned: dict[bytes, bytes] = {}
    while wanted:
        page, wanted = wanted[:_PAGE], wanted[_PAGE:]
        fetched = guard.call(partial(_fetch, url, page))
        cloned |= fetched
        data = (program_data_key(record) for record in fetched.values())
        wanted += [Pubkey(key) for key in data if key is not None and key not in cloned]
    return cloned


def _fetch(url: str, keys: list[Pubkey]) -> dict[bytes, bytes]:
    names = [str(key) for key in keys]
    params = [names, {"encoding": "base64", "commitment": "finalized"}]
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getMultipleAccounts", "params": params}).encode()
    answer = _post(url, body)
    if not isinstance(answer, dict) or "result" not in answer:
        reason = answer.get("error") if isinstance(answer, dict) else answer
        raise UpstreamRefused(f"{url} refuses getMultipleAccounts: {str(reason)[:300]}")
    values: list[Any] = answer["result"]["value"]
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    if missing:
        raise UpstreamRefused(f"{url} has no account {', '.join(missing)}")
    try:
        return dict(account_from_json(name, value) for name, value in zip(names, values, strict=True))
    except BadAccount as error:
        raise UpstreamRefused(f"{url}: {error}") from error


def _post(url: str, body: bytes) -> Any:
    if urlsplit(url).scheme not in ("http", "https"):
        raise UpstreamRefused(f"{url} is no http(s) URL")
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read(_MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        if error.code == 429 or error.code >= 500:
            raise UpstreamUnavailable(f"{url} answers HTTP {error.code}") from error
        raise UpstreamRefused(f"{url} answers HTTP {error.code}") from error
    except (OSError, TimeoutError) as error:
        raise UpstreamUnavailable(f"{url} does not answer: {error}") from error
    except ValueError as error:
        raise UpstreamRefused(f"{url} does not speak JSON: {error}") from error
