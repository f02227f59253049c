"""An archive in an S3 bucket, behind a proxy that answers wrongly: a real S3 server (moto) in this process."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from oracle import BadArchive

BUCKET, PREFIX = "chaos", "archive"
#: What every process needs to reach it.
KEYS = {"AWS_ACCESS_KEY_ID": "chaos", "AWS_SECRET_ACCESS_KEY": "chaos"}
#: How long a silent answer takes (seconds).
_SILENCE = 20.0


class ObjectStore:
    """`trouble` says what becomes of requests that write: "", "500-after", "503-before", "silent-after".

    "After" means that the store has done it. It goes on for as long as it is set.
    """

    def __init__(self) -> None:
        self.trouble = ""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        self._address = self._moto.get_host_and_port()
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=f"http://{self._address[0]}:{self._address[1]}",
            region_name="us-east-1",
            aws_access_key_id="chaos",
            aws_secret_access_key="chaos",
        )
        self.client.create_bucket(Bucket=BUCKET)
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._proxy.daemon_threads = True
        threading.Thread(target=self._proxy.serve_forever, name="object-store", daemon=True).start()

    @property
    def url(self) -> str:
        """For `TRUNKLINE_ARCHIVE_URL`."""
        return f"s3://{BUCKET}/{PREFIX}?endpoint=http://127.0.0.1:{self._proxy.server_port}&region=us-east-1"

    def close(self) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._moto.stop()

    def source(self, ledger: str) -> BucketSource:
        """What the checker reads, by no proxy."""
        return BucketSource(self.client, f"{PREFIX}/ledgers/{ledger}/")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                return

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                writes = self.command in ("PUT", "POST", "DELETE")
                if writes and store.trouble == "503-before":
                    self._answer(503, {}, b"")
                    return
                status, headers, answer = store.forward(self.command, self.path, dict(self.headers), body)
                if writes and store.trouble == "500-after":
                    self._answer(500, {}, b"")
                elif writes and store.trouble == "silent-after":
                    time.sleep(_SILENCE)
                    self.close_connection = True
                else:
                    self._answer(status, headers, answer)

            def _answer(self, status: int, headers: dict[str, str], answer: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                length = headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

        return Handler

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """The store's own answer."""
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


class BucketSource:
    """The objects of one ledger, as `oracle.Source` wants them."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def names(self, folder: str) -> Iterator[str]:
        """Names of all objects below `folder`, in order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=self._prefix + folder)
        found = [one["Key"].removeprefix(self._prefix) for page in pages for one in page.get("Contents", [])]
        return iter(sorted(found))

    def get(self, name: str) -> bytes:
        """The bytes of one object. Raises BadArchive when it is not there."""
        try:
            data: bytes = self._client.get_object(Bucket=BUCKET, Key=self._prefix + name)["Body"].read()
        except self._client.exceptions.NoSuchKey as error:
            raise BadArchive(f"{name} is not in the bucket") from error
        return data
