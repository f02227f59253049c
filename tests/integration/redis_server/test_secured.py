"""The pipeline on a Redis as it is secured outside of a trusted network: TLS, and a user who may not do everything."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from kombu import Connection
from kombu.exceptions import OperationalError

from config.settings import Settings
from recovery.connections import connect
from tests.support.paths import ROOT
from tests.support.pipelines import MakePipeline
from tests.support.redis_servers import MakeRedis
from tests.support.tls import make_authority, tls_in_front_of
from workers.answering import require_servers
from workers.supervisor.ports import free_port

pytestmark = [pytest.mark.real_redis, pytest.mark.processes]


def test_tls_carries_ledger_and_broker(make_redis: MakeRedis, make_pipeline: MakePipeline, tmp_path: Path) -> None:
    server = make_redis(tcp_port=free_port())
    plain = urlsplit(server.url)
    certificate, key = make_authority(tmp_path, "ours")
    other, _ = make_authority(tmp_path, "another")
    with tls_in_front_of(plain.port or 0, certificate, key) as port:
        url = f"rediss://:{plain.password}@127.0.0.1:{port}/0"
        pipeline = make_pipeline(f"{url}?ssl_ca_certs={certificate}")
        workers = pipeline.start(1)
        transactions = pipeline.transfers(100)
        pipeline.submit(transactions)
        pipeline.assert_sound(transactions)
        pipeline.assert_alive(workers)

        # Nobody talks to a server whose certificate is of another authority than the one that is believed.
        for believed in (f"{url}?ssl_ca_certs={other}", url):
            with pytest.raises(Exception, match=r"TRUNKLINE_REDIS_URL .*CERTIFICATE_VERIFY_FAILED"):
                require_servers(Settings.from_variables(redis_url=believed))
            broker = Settings.from_variables(redis_url=believed).celery_url()
            with Connection(broker) as connection, pytest.raises(OperationalError, match="CERTIFICATE"):
                connection.ensure_connection(max_retries=1)


def test_the_documented_user_is_enough(make_redis: MakeRedis, make_pipeline: MakePipeline) -> None:
    """deployment.md's line for the ACL file, taken from there; and nothing of ours tried what it denies."""
    [rules] = re.findall(r"^user trunkline on >PASSWORD (.+)$", (ROOT / "docs/deployment.md").read_text(), re.MULTILINE)
    server = make_redis(tcp_port=free_port())
    port = urlsplit(server.url).port
    with connect(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "trunkline", "on", ">PASSWORD", *rules.split())
        pipeline = make_pipeline(f"redis://trunkline:PASSWORD@127.0.0.1:{port}/0")
        workers = pipeline.start(1)
        transactions = pipeline.transfers(100)
        pipeline.submit(transactions)
        pipeline.assert_sound(transactions)
        pipeline.assert_alive(workers)
        for dangerous in ("FLUSHALL", "CONFIG GET *", "SHUTDOWN", "DEBUG SLEEP 0", "KEYS *", "REPLICAOF NO ONE"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                pipeline.client.execute_command(*dangerous.split())
        denied = {entry["object"] for entry in admin.acl_log()}
        # CLIENT SETINFO is redis-py's greeting, sent by producers that do not use our transport (this test's), and is
        # not needed.
        assert denied - {"client"} == {"flushall", "config", "shutdown", "debug", "keys", "replicaof"}
