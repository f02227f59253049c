"""The archive in an S3-compatible object store, through obstore. The fence is If-None-Match on PUT."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import accumulate, islice
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from recovery.archive import names
from recovery.archive.base import AHEAD_BYTES, AHEAD_OBJECTS, MAX_OBJECT_BYTES
from recovery.archive.errors import (
    AlreadyExists,
    ArchiveError,
    ArchiveReadError,
    ArchiveUnavailable,
    ArchiveWriteError,
    NotFound,
    TooLarge,
    UnsafeArchive,
)

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import S3Config

Result = TypeVar("Result")
_PROBE = ".trunkline/create-once"
REQUEST_SECONDS = 10.0
RETRY_SECONDS = 20.0


class ObjectArchive:
    """Objects below a prefix of one bucket.

    Credentials come from where the AWS tools look for them (AWS_ACCESS_KEY_ID and so on, or the instance's role).
    A PUT whose answer was lost may raise ArchiveWriteError, or AlreadyExists for the caller's own bytes: `put_same`
    tells them apart.
    """

    def __init__(self, url: str, config: S3Config | None = None) -> None:
        self._store = S3Store.from_url(
            url,
            config=config,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=REQUEST_SECONDS),
                "timeout": timedelta(seconds=REQUEST_SECONDS),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
        )

        self._creates_once = False

    def put(self, name: str, data: bytes) -> None:
        names.check_new_name(name)
        if len(data) > MAX_OBJECT_BYTES:
            raise TooLarge(f"{name}: {len(data)} bytes")
        if not self._creates_once:
            self._probe()
        self._create(name, data)

    def _create(self, name: str, data: bytes) -> None:
        with _translated(name, ArchiveWriteError):
            # One PUT, never a multipart upload: only a single PUT can be conditional.
            obstore.put(self._store, name, data, mode="create", use_multipart=False)

    def _probe(self) -> None:
        """Some stores ignore If-None-Match and overwrite: the fence would be no fence, so they are refused."""
        for _ in range(2):
            try:
                self._create(_PROBE, b"This store was asked to create this object twice.\n")
            except AlreadyExists:
                self._creates_once = True
                return
        raise UnsafeArchive("this object store ignores If-None-Match: it overwrites objects that were to be created")

    def get(self, name: str, max_bytes: int) -> bytes:
        with _translated(name, ArchiveReadError):
            return bytes(self._ask(name, max_bytes).bytes())

    def get_some(self, wanted: Sequence[str], max_bytes: int) -> Sequence[bytes]:
        if len(wanted) == 1:
            return [self.get(wanted[0], max_bytes)]
        with ThreadPoolExecutor(AHEAD_OBJECTS, thread_name_prefix="archive") as pool:
            answers = _before_the_first_error(pool.submit(self._ask, name, max_bytes) for name in wanted)
            sizes = accumulate(answer.meta["size"] for answer in answers)
            taken = max(1, sum(total <= AHEAD_BYTES for total in sizes))
            reads = [pool.submit(_body, name, answer) for name, answer in zip(wanted, answers[:taken], strict=False)]
            return _before_the_first_error(reads)

    def _ask(self, name: str, max_bytes: int) -> GetResult:
        """The answer, whose body has not been read."""
        with _translated(names.check_name(name), ArchiveReadError):
            result = obstore.get(self._store, name)
            size = result.meta["size"]
            if size > max_bytes:
                raise TooLarge(f"{name}: {size} bytes, at most {max_bytes} allowed")
            return result

    def confirm(self, name: str) -> None:
        if not self.exists(name):
            raise NotFound(name)

    def exists(self, name: str) -> bool:
        try:
            with _translated(names.check_name(name), ArchiveReadError):
                obstore.head(self._store, name)
        except NotFound:
            return False
        return True

    def list(self, folder: str = "", start_after: str | None = None) -> Iterator[str]:
        prefix = names.check_folder(folder) or None
        with _translated(folder, ArchiveReadError):
            # S3 answers in ascending order; other stores may not, so every page is checked.
            last = ""
            for page in obstore.list(self._store, prefix, offset=start_after, chunk_size=1000):
                for entry in page:
                    name = entry["path"]
                    if name < last:
                        raise ArchiveReadError(f"{folder}: the object store lists its objects out of order")
                    last = name
                    if _is_listed(folder, name, start_after):
                        yield name

    def page(self, folder: str, start_after: str | None, limit: int) -> Sequence[str]:
        """The first `limit` names of `list`."""
        return [*islice(self.list(folder, start_after), limit)]

    def folders(self, folder: str = "") -> Sequence[str]:
        with _translated(folder, ArchiveReadError):
            found = obstore.list_with_delimiter(self._store, names.check_folder(folder) or None)
            segments = sorted(path.rpartition("/")[2] for path in found["common_prefixes"])
        hidden = "" if folder else names.QUARANTINE
        return [segment for segment in segments if segment != hidden and names.is_folder_segment(segment)]

    def delete(self, name: str) -> None:
        with _translated(names.check_name(name), ArchiveWriteError):
            obstore.delete(self._store, name)

    def set_aside(self, name: str) -> str:
        # S3 cannot copy conditionally; a random ending keeps two copies apart instead.
        aside = f"{names.QUARANTINE}/{names.check_new_name(name)}.aside-{secrets.token_hex(8)}"
        with _translated(name, ArchiveWriteError):
            obstore.copy(self._store, name, aside)
            obstore.delete(self._store, name)
        return aside


def _body(name: str, answer: GetResult) -> bytes:
    with _translated(name, ArchiveReadError):
        return bytes(answer.bytes())


def _before_the_first_error(futures: Iterable[Future[Result]]) -> list[Result]:
    """Results up to the first that is an error. Raises it when it is the very first."""
    results: list[Result] = []
    for future in [*futures]:
        try:
            results.append(future.result())
        except ArchiveError:
            if not results:
                raise
            break
    return results


def _is_listed(folder: str, name: str, start_after: str | None) -> bool:
    if not names.is_name(name) or (start_after is not None and name <= start_after):
        return False
    return bool(folder) or not name.startswith(f"{names.QUARANTINE}/")


@contextmanager
def _translated(name: str, fallback: type[ArchiveUnavailable]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(name) from error
    except AlreadyExistsError as error:
        raise AlreadyExists(name) from error
    except (BaseError, OSError, ValueError) as error:
        raise fallback(f"{name}: {error}") from error
