from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
import threading
from typing import Any
from urllib.parse import parse_qs

import boto3
import obstore
import psutil
import pytest

from recovery.archive import (
    Archive,
    ArchiveReadError,
    ArchiveUnavailable,
    NotFound,
    UnsafeArchive,
    get_each,
    open_archive,
)
from recovery.archive.object_store.relay import Relay
from recovery.errors import ConfigurationError
from tests.support.archive.contract import ArchiveContract


class TestObjectArchive(ArchiveContract):
    @pytest.fixture
    def archive(self, s3_url: str) -> Archive:
        return open_archive(s3_url)


def test_objects_stay_below_their_prefix(s3_url: str) -> None:
    open_archive(s3_url).put("a/x.blk", b"1")
    other = open_archive(s3_url.replace("/deep/prefix", "/deep/other"))
    assert list(other.list()) == []


def test_a_store_that_would_overwrite_is_refused(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put = obstore.put

    def overwrite(*arguments: Any, mode: str, **options: Any) -> Any:
        return put(*arguments, **options)

    monkeypatch.setattr(obstore, "put", overwrite)
    with pytest.raises(UnsafeArchive, match="overwrites"):
        open_archive(s3_url).put("a/x.blk", b"1")


def test_foreign_objects_are_not_listed(s3_url: str, s3_endpoint: str) -> None:
    archive = open_archive(s3_url)
    archive.put("a/x.blk", b"1")
    bucket = s3_url.split("/")[2]
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    for key in ("README", "a/Upper.blk", "Folder/x.blk"):
        client.put_object(Bucket=bucket, Key=f"deep/prefix/{key}", Body=b"mine")
    assert list(archive.list()) == ["a/x.blk"]
    assert archive.folders() == ["a"]


def test_a_store_that_is_away_is_reported_as_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recovery.archive.object_store.archive.RETRY_SECONDS", 0.5)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and never listening: connections are refused
        archive = open_archive(f"s3://bucket?endpoint=http://127.0.0.1:{unused.getsockname()[1]}&region=us-east-1")
        for call in (
            lambda: archive.put("a/x.blk", b"1"),
            lambda: archive.get("a/x.blk", 1),
            lambda: archive.exists("a/x.blk"),
            lambda: list(archive.list()),
        ):
            with pytest.raises(ArchiveUnavailable):
                call()


@pytest.mark.parametrize(
    "url",
    ["", "archive", "http://x/y", "file://host/x", "s3://", "s3://key:secret@bucket", "s3://b?secret_access_key=x"],
)
def test_urls_that_cannot_be_used_are_explained(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_archive(url)


def kill_helper() -> None:
    (helper,) = [
        child for child in psutil.Process().children() if "recovery.archive.object_store.relay" in child.cmdline()
    ]
    helper.kill()
    helper.wait()


def test_a_killed_helper_is_reported_and_replaced(s3_url: str) -> None:
    relay = relay_to(s3_url)
    relay.put("a/x.blk", b"1")
    kill_helper()
    with pytest.raises(ArchiveReadError, match="helper"):
        relay.get("a/x.blk", 1)
    assert relay.get("a/x.blk", 1) == b"1"
    kill_helper()


def relay_to(s3_url: str) -> Relay:
    bucket, _, options = s3_url.partition("?")
    return Relay(bucket, {key: values[0] for key, values in parse_qs(options).items()})


def test_many_objects_are_asked_for_at_once(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, together = open_archive(s3_url), threading.Barrier(16)
    wanted = [f"a/x{number}.blk" for number in range(16)]
    for name in wanted:
        archive.put(name, name.encode())
    get = obstore.get

    def wait_for_the_others(*arguments: Any) -> Any:
        together.wait(20)
        return get(*arguments)

    monkeypatch.setattr(obstore, "get", wait_for_the_others)
    assert [*get_each(archive, wanted, 100)] == [name.encode() for name in wanted]


def test_what_is_read_ahead_is_bounded_in_bytes(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recovery.archive.object_store.archive.AHEAD_BYTES", 10)
    archive = open_archive(s3_url)
    wanted = ["a/long.blk", "a/x.blk", "a/y.blk", "a/z.blk"]
    for name, size in zip(wanted, (11, 4, 4, 4), strict=True):
        archive.put(name, b"." * size)
    assert [len(one) for one in archive.get_some(wanted, 100)] == [11]
    assert [len(one) for one in archive.get_some(wanted[1:], 100)] == [4, 4]
    assert [len(one) for one in get_each(archive, wanted, 100)] == [11, 4, 4, 4]


def test_the_helper_of_a_forked_worker_reads_many_at_once(s3_url: str) -> None:
    archive, relay = open_archive(s3_url), relay_to(s3_url)
    wanted = [f"a/x{number}.blk" for number in range(20)]
    for name in wanted:
        archive.put(name, name.encode())
    assert relay.get_some(wanted[:16], 100) == [name.encode() for name in wanted[:16]]
    assert relay.get_some([wanted[0], "a/gone.blk", wanted[1]], 100) == [wanted[0].encode()]
    with pytest.raises(NotFound, match="gone"):
        relay.get_some(["a/gone.blk", wanted[1]], 100)
    kill_helper()


def test_a_forked_worker_can_use_what_its_parent_used(s3_url: str) -> None:
    script = f"""
        import os, psutil, signal, time
        from recovery.archive import AlreadyExists, NotFound, open_archive
        archive = open_archive({s3_url!r})
        archive.put("a/x.blk", b"parent")
        told, telling = os.pipe()
        child = os.fork()
        if not child:
            signal.alarm(30)
            archive.put("a/y.blk", b"child")
            assert archive.get("a/x.blk", 10) == b"parent"
            try:
                archive.put("a/x.blk", b"again")
            except AlreadyExists:
                archive.set_aside("a/x.blk")
            assert list(open_archive({s3_url!r}).list()) == ["a/y.blk"]
            os.write(telling, b"%d" % psutil.Process().children()[0].pid)
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(telling)
        assert -signal.SIGKILL == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert archive.get("a/y.blk", 10) == b"child"
        helper = int(os.read(told, 20))
        try:
            while psutil.Process(helper).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)  # the helper ends with the killed worker
        except psutil.NoSuchProcess:
            pass
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
