"""What the sealer, the restore and the audit read and drop beside the scripts: functions over a ledger's keys.

All raise LedgerUnavailable; those that need the served epoch also LedgerMissing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from banking.ledger.ledger import Ledger

_SIGNATURE_BYTES = 64
_LOAD = "load-"


def set_closing_bytes(ledger: Ledger, count: int) -> None:
    """Record what the block of the closed slot would take."""
    ledger.call(lambda: ledger.client.hset(ledger.epoch_keys.state, "closing_bytes", str(count)))


# ---- archive and checkpoints


def note_archive_error(ledger: Ledger, seconds: int) -> None:
    """Note, for `seconds`, that the archive refused a write."""
    ledger.call(lambda: ledger.client.set(ledger.keys.archive_error, "1", ex=seconds))


def has_archive_error(ledger: Ledger) -> bool:
    """Whether a refused write of the archive is noted at present."""
    return bool(ledger.call(lambda: ledger.client.exists(ledger.keys.archive_error)))


def take_checkpoint_lease(ledger: Ledger, holder: str, seconds: int) -> bool:
    """Whether `holder` may write a checkpoint now; nobody else may for `seconds`, or until `release_...`."""
    lease = ledger.keys.checkpointing
    if ledger.call(lambda: ledger.client.set(lease, holder, nx=True, ex=seconds)):
        return True
    # A clock set back would keep the lease of a dead holder for as long as it was set back.
    if ledger.call(lambda: ledger.client.ttl(lease)) > seconds:
        ledger.call(lambda: ledger.client.expire(lease, seconds))
    return False


def release_checkpoint_lease(ledger: Ledger) -> None:
    """Let the next checkpoint be written."""
    ledger.call(lambda: ledger.client.delete(ledger.keys.checkpointing))


# ---- restore


def unresolved_signatures(ledger: Ledger) -> list[bytes]:
    """The signatures in intake, then those in the dead letters; letters of other things have other ids."""
    keys, client = ledger.keys, ledger.client
    waiting = cast("list[bytes]", ledger.call(lambda: client.hkeys(keys.intake)))
    dead = cast("list[bytes]", ledger.call(lambda: client.hkeys(keys.dead)))
    return waiting + [name for name in dead if len(name) == _SIGNATURE_BYTES]


def fenced_slot(ledger: Ledger) -> int | None:
    """Up to which slot the ledger was final that a restore replaces; None when nothing was fenced."""
    keys, client = ledger.keys, ledger.client
    fenced = cast("bytes | None", ledger.call(lambda: client.hget(keys.meta, "fenced")))
    if fenced is None:
        return None
    state = keys.epoch(int(fenced)).state
    value = cast("bytes | None", ledger.call(lambda: client.hget(state, "finalized")))
    return int(value) if value else None


def leftovers(ledger: Ledger) -> list[str]:
    """The names of epochs ("e7") and loads ("load-token") that may be left over, the load of a running restore not."""
    keys, client = ledger.keys, ledger.client
    names = cast("set[bytes]", ledger.call(lambda: client.smembers(keys.leftovers)))
    # Read behind the names: a restore whose name is among them took the lease before.
    holder = cast("bytes", ledger.call(lambda: client.get(keys.restorer)) or b"")
    return sorted(name.decode() for name in names - {_LOAD.encode() + holder})


def forget_leftover(ledger: Ledger, name: str) -> None:
    """Take `name` off the list of leftovers."""
    ledger.call(lambda: ledger.client.srem(ledger.keys.leftovers, name))


def epoch_view(ledger: Ledger, number: int) -> Ledger:
    """The same ledger as epoch `number` left it."""
    return Ledger(ledger.client, ledger.name, epoch=number)


def epoch_counters(ledger: Ledger) -> dict[bytes, bytes]:
    """The counters of the view's epoch as they are stored; empty when there are none."""
    return cast("dict[bytes, bytes]", ledger.call(lambda: ledger.client.hgetall(ledger.epoch_keys.state)))


def drop_epoch(ledger: Ledger) -> None:
    """Drop all keys of the view's epoch."""
    ledger.call(lambda: ledger.client.unlink(*ledger.epoch_keys.all()))


# ---- attestation


def server_run(ledger: Ledger) -> str:
    """The id of this run of the Redis server; another one after a restart or a failover."""
    info: Any = ledger.call(lambda: ledger.client.info("server"))
    return str(info.get("run_id", ""))


def write_attestation(ledger: Ledger, signed: bytes) -> None:
    """Keep the signed attestation of the host that verified the ledger."""
    ledger.call(lambda: ledger.client.set(ledger.keys.attested, signed))


def read_attestation(ledger: Ledger) -> bytes | None:
    """The signed attestation of the host that verified the ledger last."""
    return cast("bytes | None", ledger.call(lambda: ledger.client.get(ledger.keys.attested)))


# ---- audit


def stored_outcomes(ledger: Ledger, signatures: Sequence[bytes]) -> list[tuple[bytes | None, bytes | None]]:
    """For each signature its status, and what intake holds of it, as stored."""
    names: list[Any] = list(signatures)
    values = ledger.call(lambda: ledger.client.hmget(ledger.epoch_keys.status, names))
    waiting = ledger.call(lambda: ledger.client.hmget(ledger.keys.intake, names))
    return list(zip(values, waiting, strict=True))


def older_epoch_keys(ledger: Ledger, epoch: int) -> list[str]:
    """The state keys of epochs before `epoch` that still exist."""
    begin = f"{ledger.prefix}:e"
    found = ledger.call(lambda: list(ledger.client.scan_iter(match=f"{begin}[0-9]*:state", count=1000)))
    return [key for key in map(bytes.decode, found) if _is_before(key.removeprefix(begin).partition(":")[0], epoch)]


def _is_before(number: str, epoch: int) -> bool:
    return number.isdecimal() and int(number) < epoch


def read_moment(ledger: Ledger, epoch: int) -> tuple[list[int], int, list[bytes], list[dict[bytes, bytes]]]:
    """Counters, the number of unresolved transactions, ids of dead letters and images of `epoch`, of one moment.

    The counters are seq, accepted, refused, dropped, slot, finalized and the bytes of the open slot; the images are
    those of even slots, then those of odd ones.
    """
    names = ledger.keys.epoch(epoch)

    def read() -> Any:
        pipe = ledger.client.pipeline(transaction=True)
        pipe.hmget(names.state, "seq", "accepted", "refused", "dropped", "slot", "finalized", "bytes")
        pipe.hlen(ledger.keys.intake)
        pipe.hkeys(ledger.keys.dead)
        pipe.hgetall(names.images_even)
        pipe.hgetall(names.images_odd)
        return pipe.execute()

    counters, waiting, dead, even, odd = ledger.call(read)
    return [int(value or 0) for value in counters], waiting, dead, [even, odd]
