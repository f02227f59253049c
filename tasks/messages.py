"""The message that carries transactions to the workers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from banking.ledger.batch_record import ID_BYTES
from config.errors import TrunklineError

#: JSON numbers above this are not exact everywhere.
_MAX_MILLISECONDS = 2**53 - 1


class InvalidMessage(TrunklineError):
    """The message's arguments are not what the task takes; it becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class BatchMessage:
    """The arguments of `transactions.process_batch`.

    `transactions` are base64 texts when we sent them; what others sent is checked one by one when it is decoded.
    `enqueued_at` is Redis time in milliseconds (0: not known); `isolate` asks the worker to run them one by one.
    With `batch`, the id of a batch in intake, there are none: the worker finds its `count` transactions there.
    """

    transactions: tuple[object, ...]
    enqueued_at: int = 0
    isolate: bool = False
    batch: bytes = b""
    count: int = 0

    @classmethod
    def of(cls, raws: Sequence[bytes], *, enqueued_at: int = 0, isolate: bool = False) -> BatchMessage:
        """The message of some signed transactions."""
        return cls(tuple(base64.b64encode(raw).decode() for raw in raws), enqueued_at, isolate)

    @classmethod
    def of_batch(cls, batch: bytes, count: int, *, enqueued_at: int = 0) -> BatchMessage:
        """The message of `count` transactions that intake holds as `batch`."""
        return cls((), enqueued_at, batch=batch, count=count)

    @classmethod
    def parse(
        cls,
        transactions: object,
        enqueued_at: object = 0,
        isolate: object = False,
        batch: object = "",
        count: object = 0,
    ) -> BatchMessage:
        """The message whose arguments a worker received. Raises InvalidMessage."""
        if not isinstance(transactions, list | tuple):
            raise InvalidMessage(f"transactions must be a list of base64 strings, not {type(transactions).__name__}")
        # A wrong time would mislead the sweeper about which messages have been popped.
        if isinstance(enqueued_at, bool) or not isinstance(enqueued_at, int):
            raise InvalidMessage(f"enqueued_at must be milliseconds of Redis time, not {enqueued_at!r}")
        if not 0 <= enqueued_at <= _MAX_MILLISECONDS:
            raise InvalidMessage(f"enqueued_at must be milliseconds of Redis time, not {enqueued_at!r}")
        if not isinstance(batch, str) or not isinstance(count, int):
            raise InvalidMessage(f"batch must be an id in hexadecimal and count a number, not {batch!r} and {count!r}")
        try:
            id = bytes.fromhex(batch)
        except ValueError:
            raise InvalidMessage(f"batch must be an id in hexadecimal, not {batch!r}") from None
        if id and (len(id) != ID_BYTES or transactions):
            raise InvalidMessage(f"batch must be {ID_BYTES} bytes in hexadecimal, and alone, not {batch!r}")
        return cls(tuple(transactions), enqueued_at, bool(isolate), id, count)

    def send_options(self) -> dict[str, Any]:
        """Options of Celery's `send_task`."""
        kwargs = {"enqueued_at": self.enqueued_at, "isolate": self.isolate} | self._of_batch()
        return {
            "args": (list(self.transactions),),
            "kwargs": kwargs,
            # Flower shows this instead of 64 transactions in base64.
            "argsrepr": f"({self.count or len(self.transactions)} transactions)",
            # What Celery would come to by looking at every value, an eighth of what a message costs.
            "kwargsrepr": repr(kwargs),
        }

    def _of_batch(self) -> dict[str, Any]:
        return {"batch": self.batch.hex(), "count": self.count} if self.batch else {}
