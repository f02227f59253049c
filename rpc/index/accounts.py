"""Which accounts a program owns, and which token accounts belong to an owner, a delegate or a mint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from banking.ledger.records import HEADER_SIZE, OWNER_AT
from rpc.encoding.token_layout import delegate_of, is_token_account

_NONE = b""


@dataclass(frozen=True, slots=True)
class Facts:
    """The values that an account is indexed by."""

    program: bytes
    mint: bytes = _NONE
    owner: bytes = _NONE
    delegate: bytes = _NONE


class AccountIndex:
    """Account keys by what their records say. It can lag behind the ledger: check the records themselves."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._facts: dict[bytes, Facts] = {}
        self._plain: dict[bytes, Facts] = {}
        self._by: dict[str, defaultdict[bytes, dict[bytes, None]]] = {
            name: defaultdict(dict) for name in ("program", "mint", "owner", "delegate")
        }
        #: True once an account did not fit: answers would be incomplete, so none are given.
        self.overflowed = False

    def __len__(self) -> int:
        return len(self._facts)

    def update(self, key: bytes, record: bytes) -> None:
        """Index `record` (b"" when the account is gone) under `key`."""
        old = self._facts.get(key)
        new = self._facts_of(record) if record else None
        if new == old:
            return
        if old is not None:
            self._remove(key, old)
        if new is None:
            return
        if len(self._facts) >= self._limit:
            self.overflowed = True
            return
        self._facts[key] = new
        for name, value in _values(new):
            self._by[name][value][key] = None

    def find(self, name: str, value: bytes) -> list[bytes]:
        """The keys of the accounts whose `name` (program, mint, owner, delegate) is `value`."""
        keys = self._by[name].get(value)
        return list(keys) if keys else []

    def clear(self) -> None:
        self._facts.clear()
        for table in self._by.values():
            table.clear()
        self.overflowed = False

    def _facts_of(self, record: bytes) -> Facts:
        program = record[OWNER_AT:HEADER_SIZE]
        if is_token_account(record):
            data = record[HEADER_SIZE:]
            return Facts(program, data[:32], data[32:64], delegate_of(data) or _NONE)
        # Nearly all accounts belong to few programs: they share one object.
        return self._plain.setdefault(program, Facts(program))

    def _remove(self, key: bytes, facts: Facts) -> None:
        del self._facts[key]
        for name, value in _values(facts):
            table = self._by[name]
            table[value].pop(key, None)
            if not table[value]:
                del table[value]


def _values(facts: Facts) -> Iterator[tuple[str, bytes]]:
    pairs: Iterable[tuple[str, bytes]] = (
        ("program", facts.program),
        ("mint", facts.mint),
        ("owner", facts.owner),
        ("delegate", facts.delegate),
    )
    return ((name, value) for name, value in pairs if value)
