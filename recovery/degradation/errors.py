"""What degradation raises."""

from __future__ import annotations

from recovery.errors import RecoveryError, Refused


class UnknownOperation(RecoveryError):
    """No operation has this name. Unknown names are never guessed to be reads."""


class UnknownMode(RecoveryError):
    """No degradation mode has this name."""


class InvalidName(RecoveryError):
    """A component or rule name has characters that names may not have."""


class OperationRefused(Refused):
    """The component's mode does not allow this operation now.

    `retry_after` is seconds: when it is worth asking again. A refusal uses up no attempt; park the work.
    """

    def __init__(self, component: str, operation: str, mode: str, retry_after: float) -> None:
        super().__init__(
            f"{operation} is refused: {component} is {mode}. Try again in {retry_after:g} s; "
            f"`mode explain {component} {operation}` says why.",
            retry_after=retry_after,
        )
        self.component = component
        self.operation = operation
        self.mode = mode

    def __reduce__(self) -> tuple[type[OperationRefused], tuple[str, str, str, float]]:
        # Pool children send errors to their parent pickled.
        return type(self), (self.component, self.operation, self.mode, self.retry_after)


class ModesUnavailable(RecoveryError):
    """Redis did not answer, so modes cannot be changed or their history read. The last known modes go on ruling."""
