"""Celery's control commands (inspect, ping, enable events), for callers of many threads.

Celery takes a connection from the app's pool for the answers and then, while it holds that one, a producer from
another pool, which takes a second connection from the first pool and waits for it without a limit. As many threads
as the pool has connections, each with one in hand, wait for each other for ever: Flower asks for four things at once
when it starts, and shows nothing from then on. Here a command has a connection of its own and is sent over it, so
nobody waits for a pool with a part of it in hand, whatever the pool's size and the number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery.app.control import Control as CeleryControl


class Control(CeleryControl):
    """`app.control` of every app of ours."""

    mailbox: Any

    def broadcast(  # type: ignore[override]  # the stubs know it without the names it takes
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Any = None,
        connection: Any = None,
        reply: bool = False,
        timeout: float = 1.0,
        **options: Any,
    ) -> Any:
        """Send a command to workers and return their answers, if any are wanted (as Celery's own)."""
        if connection is not None:
            # It is busy with something else (Flower's events come over one), which a failed command must not disturb.
            return super().broadcast(
                command, arguments, destination, connection, reply=reply, timeout=timeout, **options
            )
        wanted = {name: options.pop(name, None) for name in ("limit", "callback", "channel", "pattern", "matcher")}
        with self.app.connection_for_write() as own:
            mailbox = self.mailbox(own)
            mailbox.producer_pool = None  # then kombu publishes over the mailbox's own connection
            return mailbox._broadcast(command, {**(arguments or {}), **options}, destination, reply, timeout, **wanted)
