"""msgpack for Celery's messages, by the msgspec that is here anyway: kombu itself wants one more library for it."""

from __future__ import annotations

import msgspec
from kombu.serialization import register


def install() -> None:
    """Let this process read and write messages of content type `application/x-msgpack`."""
    register(
        "msgpack",
        msgspec.msgpack.encode,  # type: ignore[arg-type]  # the stubs know only text
        msgspec.msgpack.decode,  # type: ignore[arg-type]
        content_type="application/x-msgpack",
        content_encoding="binary",
    )
