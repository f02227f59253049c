"""Opening an archive by its URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from recovery.archive.base import Archive
from recovery.archive.errors import NotFound
from recovery.archive.local.archive import LocalArchive
from recovery.archive.reading import ReadOnlyArchive
from recovery.clock import SYSTEM_CLOCK, Clock
from recovery.errors import ConfigurationError

if TYPE_CHECKING:
    from obstore.store import S3Config

_S3_OPTIONS = frozenset({"endpoint", "region", "virtual_hosted_style_request", "skip_signature"})


def open_archive(url: str, *, clock: Clock = SYSTEM_CLOCK) -> Archive:
    """The archive at `url`: `file:///folder`, or `s3://bucket/prefix?endpoint=http://host:9000&region=us-east-1`.

    Credentials never go into the URL; they come from the standard AWS_* variables or the machine's role. Raises
    ConfigurationError for a URL that cannot be used, UnsafeArchive, ArchiveWriteError.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return LocalArchive(Path(unquote(parts.path)), clock=clock)
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc:
        from recovery.archive.object_store.forked import ForkSafeArchive

        return ForkSafeArchive(f"s3://{parts.netloc}{parts.path.rstrip('/')}", _s3_options(parts.query))
    raise ConfigurationError(f"The archive URL must look like file:///folder or s3://bucket/prefix, not {url!r}")


def read_archive(url: str) -> Archive:
    """The archive at `url` for reading only; nothing is made there. Raises as `open_archive`, and ConfigurationError
    when there is no such folder.
    """
    parts = urlsplit(url)
    if parts.scheme != "file":
        return ReadOnlyArchive(open_archive(url))
    folder = Path(unquote(parts.path))
    try:
        return ReadOnlyArchive(LocalArchive(folder, create=False))
    except NotFound:
        raise ConfigurationError(
            f"There is no archive in {folder}. Say where it is by --data (the folder of the instance) or "
            "TRUNKLINE_ARCHIVE_URL, or run this on the machine that has it."
        ) from None


def _s3_options(query: str) -> S3Config:
    options: S3Config = {}
    for name, values in parse_qs(query, strict_parsing=bool(query)).items():
        if name not in _S3_OPTIONS:
            raise ConfigurationError(
                f"Unknown option {name!r} in the archive URL; known: {', '.join(sorted(_S3_OPTIONS))}. "
                "Keys and secrets belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
        if name in {"virtual_hosted_style_request", "skip_signature"}:
            options[name] = values[-1].lower() in {"1", "true", "yes"}  # type: ignore[literal-required]
        else:
            options[name] = values[-1]  # type: ignore[literal-required]
    return options
