"""Which errors are worth another attempt: their type decides, their message only when the type says nothing."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable

import redis.exceptions

from recovery import celery_errors
from recovery.errors import Refused, TerminalError, TransientError
from recovery.presets import RETRYABLE_MESSAGE_PARTS

Predicate = Callable[[BaseException], bool]

#: A wrong password stays wrong, though redis-py files these under ConnectionError.
_PERMANENT_FIRST: tuple[type[BaseException], ...] = (
    redis.exceptions.AuthenticationError,
    redis.exceptions.AuthorizationError,
    ssl.SSLCertVerificationError,
)

_TRANSIENT: tuple[type[BaseException], ...] = (
    TransientError,
    ConnectionError,
    TimeoutError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
)

#: Mistakes in the program or its input: no wording makes them go away by waiting.
_PERMANENT: tuple[type[BaseException], ...] = (
    TypeError,
    ValueError,
    AttributeError,
    NameError,
    LookupError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    ImportError,
    SyntaxError,
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)

_TRANSIENT_ERRNO = frozenset(
    {
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENETRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ETIMEDOUT,
        errno.EAGAIN,
        errno.EBUSY,
        errno.ENOBUFS,
    }
)


def is_never_retried(error: BaseException) -> bool:
    """True for what no policy's predicate is asked about: terminal outcomes, refusals, Celery's Retry/Ignore/Reject,
    and what ends a program rather than a call.
    """
    is_outcome = isinstance(error, TerminalError | Refused) or celery_errors.is_control_flow(error)
    return is_outcome or not isinstance(error, Exception)


def is_retryable(error: BaseException) -> bool:
    """The default predicate: transient by type, else permanent by type, else by the seed's message parts."""
    if is_never_retried(error) or not isinstance(error, Exception):
        return False
    by_type = _by_type(error)
    return message_is_retryable(str(error)) if by_type is None else by_type


def message_is_retryable(message: str) -> bool:
    """True when `message` holds one of the seed's parts, in any case."""
    lowered = message.lower()
    return any(part in lowered for part in RETRYABLE_MESSAGE_PARTS)


def retry_on(*types: type[BaseException]) -> Predicate:
    """A predicate that is true for these exception types and nothing else."""
    return lambda error: isinstance(error, types)


def _by_type(error: Exception) -> bool | None:
    if isinstance(error, _PERMANENT_FIRST):
        return False
    if isinstance(error, _TRANSIENT) or celery_errors.is_transient(error):
        return True
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO:
        return True
    wrapped = getattr(error, "reason", None)  # urllib.error.URLError wraps what really happened
    if isinstance(error, OSError) and isinstance(wrapped, Exception):
        return is_retryable(wrapped)
    return False if isinstance(error, _PERMANENT) else None
