"""Lua scripts that live in files beside the code, called by their SHA-1."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import NoScriptError

from recovery.clock import SYSTEM_CLOCK

Argument = bytes | str | int | float

#: A line of a script in whose place a file of `shared/` beside it is read.
_INCLUDE = re.compile(rb"^-- include (\w+)$", re.MULTILINE)


class LuaScript:
    """One Lua file, run atomically by Redis.

    The server is asked by hash first and is sent the text only when it does not know it (after a restart or a
    SCRIPT FLUSH), so a call is one round trip.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._text = _INCLUDE.sub(
            lambda line: (path.parent / "shared" / f"{line[1].decode()}.lua").read_bytes(), path.read_bytes()
        )
        #: How often this process called it, and the seconds from the calls to their answers, failures included.
        self.calls = 0
        self.seconds = 0.0
        #: By which Redis knows it once it was sent.
        self.sha = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    @property
    def source(self) -> str:
        """The text, for EVAL and SCRIPT LOAD."""
        return self._text.decode()

    def __call__(self, client: redis.Redis, keys: Sequence[bytes | str], args: Sequence[Argument]) -> Any:
        """Run the script. Raises what redis-py raises; a `ResponseError` carries the script's own message."""
        began = SYSTEM_CLOCK.monotonic()
        try:
            return client.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.source, len(keys), *keys, *args)
        finally:
            self.calls += 1
            self.seconds += SYSTEM_CLOCK.monotonic() - began


def load_scripts(folder: Path) -> dict[str, LuaScript]:
    """All `*.lua` files of `folder`, by name without the ending."""
    return {path.stem: LuaScript(path) for path in sorted(folder.glob("*.lua"))}
