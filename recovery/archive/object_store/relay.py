"""A helper process that talks to the object store for a process that cannot, over its standard input and output.

A message is its length (4 bytes, big-endian) and msgpack: `[method, arguments]` to the helper, `["", result]` or
`[error class, message]` back. The helper ends when its input does.
"""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from recovery.archive import errors
from recovery.archive.base import MAX_OBJECT_BYTES

if TYPE_CHECKING:
    from recovery.archive.object_store.archive import ObjectArchive

_ANSWER_SECONDS = 120.0
_LENGTH = struct.Struct(">I")
_MAX_MESSAGE = MAX_OBJECT_BYTES + 65_536
_METHODS = frozenset({"put", "get", "get_some", "confirm", "exists", "page", "folders", "delete", "set_aside"})


class Relay:
    """The near end: the archive's methods, each one message to a helper that is started when needed."""

    def __init__(self, url: str, config: Mapping[str, Any]) -> None:
        self._arguments = [url, json.dumps(dict(config))]
        self._lock = threading.Lock()
        self._helper: subprocess.Popen[bytes] | None = None

    def put(self, name: str, data: bytes) -> None:
        self._call("put", name, data)

    def get(self, name: str, max_bytes: int) -> bytes:
        data: bytes = self._call("get", name, max_bytes)
        return data

    def get_some(self, wanted: Sequence[str], max_bytes: int) -> Sequence[bytes]:
        found: Sequence[bytes] = self._call("get_some", wanted, max_bytes)
        return found

    def confirm(self, name: str) -> None:
        self._call("confirm", name)

    def exists(self, name: str) -> bool:
        return bool(self._call("exists", name))

    def folders(self, folder: str) -> Sequence[str]:
        found: Sequence[str] = self._call("folders", folder)
        return found

    def delete(self, name: str) -> None:
        self._call("delete", name)

    def set_aside(self, name: str) -> str:
        return str(self._call("set_aside", name))

    def page(self, folder: str, start_after: str | None, limit: int) -> Sequence[str]:
        found: Sequence[str] = self._call("page", folder, start_after, limit)
        return found

    def _call(self, method: str, *arguments: object) -> Any:
        with self._lock:
            try:
                error, result = self._exchange([method, arguments])
            except (OSError, EOFError, msgspec.MsgspecError) as problem:
                self._stop()
                kind = errors.ArchiveWriteError if method in {"put", "delete", "set_aside"} else errors.ArchiveReadError
                raise kind(f"the archive's helper process failed: {problem}") from problem
        if error:
            raise getattr(errors, error)(result)
        return result

    def _exchange(self, request: object) -> Any:
        helper = self._helper or self._start()
        assert helper.stdin is not None
        assert helper.stdout is not None
        _send(helper.stdin, request)
        if not select.select([helper.stdout], [], [], _ANSWER_SECONDS)[0]:
            raise TimeoutError(f"no answer within {_ANSWER_SECONDS:g} s")
        return _receive(helper.stdout)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "recovery.archive.object_store.relay", *self._arguments]
        self._helper = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
        return self._helper

    def _stop(self) -> None:
        if self._helper is not None:
            self._helper.kill()
            self._helper.communicate()
            self._helper = None


def _send(stream: BinaryIO | Any, message: object) -> None:
    body = msgspec.msgpack.encode(message)
    rest = memoryview(_LENGTH.pack(len(body)) + body)
    while rest:
        rest = rest[stream.write(rest) :]


def _receive(stream: BinaryIO | Any) -> Any:
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    if length > _MAX_MESSAGE:
        raise EOFError("message too long")
    return msgspec.msgpack.decode(_read(stream, length))


def _read(stream: BinaryIO | Any, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = stream.read(length - len(data))
        if not piece:
            raise EOFError("the other end is gone")
        data += piece
    return bytes(data)


def _answer(archive: ObjectArchive, method: str, arguments: Sequence[Any]) -> Sequence[Any]:
    try:
        if method not in _METHODS:
            raise errors.ArchiveError(f"no method {method}")
        return ["", getattr(archive, method)(*arguments)]
    except errors.ArchiveError as error:
        return [type(error).__name__, str(error)]


def _serve(url: str, config: str) -> None:
    from recovery.archive.object_store.archive import ObjectArchive

    archive = ObjectArchive(url, json.loads(config))
    while True:
        try:
            method, arguments = _receive(sys.stdin.buffer)
        except EOFError:
            return
        _send(sys.stdout.buffer, _answer(archive, method, arguments))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
