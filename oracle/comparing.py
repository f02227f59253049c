"""One entry of the archive beside what the oracle's VM got."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from solders.pubkey import Pubkey

from oracle import records, tokens
from oracle.format import Recorded
from oracle.machine import Happened

Difference = tuple[str, str, str]


def differences(recorded: Recorded, happened: Happened) -> Iterator[Difference]:
    """(field, expected, found) for everything in which the two differ."""
    pairs: list[tuple[str, Any, Any]] = [
        ("error", happened.err, recorded.err),
        ("fee", happened.fee, recorded.fee),
        ("burned", happened.fee, recorded.burned),
        ("compute units", happened.units, recorded.units),
        ("logs", happened.logs, recorded.logs),
    ]
    if recorded.detail is not None:
        pairs += _details(recorded.detail, happened)
    for name, expected, found in pairs:
        if expected != found:
            yield name, repr(expected), repr(found)
    yield from _accounts(recorded, happened)


def _details(detail: tuple[Any, ...], happened: Happened) -> Iterator[tuple[str, Any, Any]]:
    before, after, tokens_before, tokens_after, inner, program, data, writable, readonly, *loaded = detail
    keys = happened.named.keys
    yield "lamports before", happened.before, before
    yield "lamports after", happened.after, after
    yield "tokens before", tokens.balances(keys, happened.records_before), list(map(tuple, tokens_before))
    yield "tokens after", tokens.balances(keys, happened.records_after), list(map(tuple, tokens_after))
    yield "inner instructions", happened.inner, [(index, list(map(tuple, calls))) for index, calls in inner]
    yield "return data", (happened.return_program, happened.return_data), (program, data)
    yield "loaded addresses", (happened.named.writable, happened.named.readonly), (writable, readonly)
    # Blocks of earlier versions do not have it.
    if loaded:
        yield "loaded bytes", happened.loaded_bytes, loaded[0]


def _accounts(recorded: Recorded, happened: Happened) -> Iterator[Difference]:
    for key in dict.fromkeys((*happened.changed, *recorded.wrote)):
        name = f"account {Pubkey(key)}"
        if key not in recorded.wrote:
            yield name, describe(happened.changed[key]), "unchanged"
        elif key not in happened.changed:
            yield name, "unchanged", describe(recorded.images.get(key))
        elif key in recorded.images and recorded.images[key] != happened.changed[key]:
            yield name, *beside(happened.changed[key], recorded.images[key])


def describe(record: bytes | None) -> str:
    """A record in words."""
    if record is None:
        return "changed (no image kept)"
    if not record:
        return "absent"
    digest = hashlib.sha256(records.data(record)).hexdigest()[:16]
    return (
        f"{records.lamports(record)} lamports, owner {Pubkey(records.owner(record))}, "
        f"{len(records.data(record))} bytes of data (SHA-256 {digest}...)"
        + (", executable" if records.is_executable(record) else "")
        + f", rent epoch {int.from_bytes(record[8:16], 'little')}"
    )


def beside(expected: bytes, found: bytes) -> tuple[str, str]:
    """Two different records in words, with the place of the first byte of data that differs."""
    ours, theirs = records.data(expected), records.data(found)
    place = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), None)
    where = "" if place is None else f", byte {place} of the data"
    pieces = ("", "") if place is None else (f" {ours[place : place + 8].hex()}", f" {theirs[place : place + 8].hex()}")
    return describe(expected) + where + pieces[0], describe(found) + where + pieces[1]
