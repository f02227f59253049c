"""What the fixture `make_redis` gives."""

from __future__ import annotations

from collections.abc import Callable

from workers.supervisor.embedded_redis import EmbeddedRedis

MakeRedis = Callable[..., EmbeddedRedis]
