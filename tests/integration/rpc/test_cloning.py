"""Cloning from an upstream server: here one of ours."""

from __future__ import annotations

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from banking.execution.account_access import program_data_key
from recovery.breaker import CircuitBreaker, CircuitBreakerConfig
from recovery.breaker.errors import CircuitOpenError
from rpc.sandbox.cloning import UpstreamRefused, UpstreamUnavailable, clone_accounts, upstream_breaker
from tests.support.ports import free_port
from tests.support.rpc.served import Served

_TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
_MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")


def test_accounts_come_byte_for_byte_and_programs_with_their_code(served: Served) -> None:
    faucet = served.world.faucet.pubkey()
    ledger = served.world.ledger
    cloned = clone_accounts(served.url, [faucet, _TOKEN, _MEMO])
    for key, record in cloned.items():
        assert record == ledger.account(key)
    programs = [key for key in (bytes(_TOKEN), bytes(_MEMO)) if program_data_key(ledger.account(key))]
    assert {program_data_key(ledger.account(key)) for key in programs} <= set(cloned)


def test_an_account_that_is_not_there_is_told_at_once(served: Served) -> None:
    nobody = Keypair().pubkey()
    with pytest.raises(UpstreamRefused, match=str(nobody)):
        clone_accounts(served.url, [nobody])


def test_a_silent_upstream_opens_its_own_breaker() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert upstream_breaker(url).name == "upstream:127.0.0.1"
    breaker = CircuitBreaker("upstream:test", CircuitBreakerConfig(failure_threshold=5, timeout=60.0))
    with pytest.raises(UpstreamUnavailable):
        clone_accounts(url, [_TOKEN], breaker=breaker)
    with pytest.raises(CircuitOpenError):
        clone_accounts(url, [_TOKEN], breaker=breaker)
