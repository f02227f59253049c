"""A call as a block of code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from recovery.breaker.admission_control import Admission, AdmissionControl
from recovery.breaker.predicates import FailurePredicate


class Permit:
    """`with` or `async with` block whose end is judged by the breaker's failure predicate.

    Entering raises CircuitOpenError when the breaker refuses. A permit serves one block at a time.
    """

    __slots__ = ("_admission", "_control", "_is_failure", "_started")

    def __init__(self, control: AdmissionControl, is_failure: FailurePredicate) -> None:
        self._control = control
        self._is_failure = is_failure
        self._admission: Admission | None = None

    def __enter__(self) -> Self:
        self._admission = self._control.admit()
        self._started = self._control.now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        settle, admission = self._settle(error)
        settle(admission)

    async def __aenter__(self) -> Self:
        self._admission = await self._control.admit_async()
        self._started = self._control.now()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        settle, admission = self._settle(error)
        if self._control.store.remote and (error is not None or admission.lease):
            await asyncio.shield(asyncio.to_thread(settle, admission))
        else:
            settle(admission)

    def _settle(self, error: BaseException | None) -> tuple[Callable[[Admission], None], Admission]:
        admission, self._admission = self._admission, None
        assert admission is not None, "a permit is left without having been entered"
        started = self._started
        if error is None:
            return lambda it: self._control.succeeded(it, started), admission
        if self._is_failure(error):
            return lambda it: self._control.failed(it, started), admission
        return self._control.voided, admission
