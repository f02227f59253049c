"""The lean client is redis-py's but for its cost: the same answers, errors, waits and retries, whatever fails."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from recovery.connections import connect, fail_fast
from recovery.lean_client import LeanRedis
from recovery.scripts import LuaScript
from tests.support.redis_servers import MakeRedis
from tests.support.scripted_redis import ScriptedRedis, scripted_redis
from tests.support.waiting import wait_until

FAULTS = (
    "reply",
    "cut",
    "half",
    "late",
    "close",
    "NOSCRIPT No matching script. Please use EVAL.",
    "LOADING Redis is loading the dataset in memory",
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "BUSY Redis is busy running a script.",
    "STALE_EPOCH 3",
    "ERR value is not an integer",
)
SHA = "0" * 40


def plain(url: str, **options: Any) -> redis.Redis:
    """What `connect` would make of redis-py's own class."""
    lean = connect(url, **options)
    return redis.Redis(connection_pool=lean.connection_pool)


def impatient(client: redis.Redis, server: ScriptedRedis) -> None:
    """Have `client` time out at once when `server` holds a reply back, and at nothing else.

    A short timeout would do the same on an idle machine; on a busy one other replies would be late, too.
    """

    class Socket(socket.socket):
        def recv_into(self, *args: Any) -> int:
            if self.gettimeout():
                while not readable(self, 0.005):
                    if self.getsockname() in server.late:
                        raise TimeoutError("timed out")
            return super().recv_into(*args)

    class Impatient(redis.Connection):
        def _connect(self) -> socket.socket:
            made: socket.socket = super()._connect()  # type: ignore[no-untyped-call]
            own = Socket(fileno=made.detach())
            own.settimeout(made.gettimeout() or self.socket_timeout)
            return own

    client.connection_pool.connection_class = Impatient


def readable(sock: socket.socket, seconds: float) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def idle(client: redis.Redis) -> Any:
    """The connection that `client` used last."""
    kept = client._idle if isinstance(client, LeanRedis) else client.connection_pool._available_connections
    return kept[-1]


def history(client: redis.Redis, server: ScriptedRedis, calls: int) -> list[tuple[str, str]]:
    """What each of some calls came to: its reply, or the type and the text of its error."""
    found = []
    for number in range(calls):
        try:
            found.append(("reply", str(client.evalsha(SHA, 1, "key", f"call {number}"))))
        except redis.RedisError as error:
            found.append((type(error).__name__, str(error)))
        wait_until_closed(client, server)
    return found


def wait_until_closed(client: redis.Redis, server: ScriptedRedis) -> None:
    """Return once the client's end knows of it, if the server closed the connection after its last reply."""
    sock = idle(client)._sock
    if sock is not None and sock.getsockname() in server.closing:
        assert readable(sock, 60), "the server closes the connection"


@settings(max_examples=30, deadline=None)
@given(plan=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=5), retries=st.sampled_from([0, 1]))
def test_every_fault_comes_to_the_same_as_with_redis_py(plan: list[str], retries: int) -> None:
    seen = []
    for make in (plain, connect):
        with scripted_redis(plan) as server:
            client = make(server.url, timeout=60)
            impatient(client, server)
            if retries == 0:
                client.connection_pool.connection_kwargs["retry"] = Retry(NoBackoff(), 0)
            outcomes = history(client, server, len(plan) + 2)
            seen.append((outcomes, server.asked))
            client.close()
    assert seen[0] == seen[1]
    assert seen[1][0][-1][0] == "reply"
    # And never the reply to another call.
    replies = [(number, text) for number, (kind, text) in enumerate(seen[1][0]) if kind == "reply"]
    assert all(text == str(f"call {number}".encode()) for number, text in replies)


def test_a_reply_that_comes_after_its_timeout_is_never_the_next_ones() -> None:
    with scripted_redis(["late", "late", "reply"]) as server:
        client = connect(server.url, timeout=60)
        impatient(client, server)
        for _ in range(2):
            with pytest.raises(redis.TimeoutError):
                client.evalsha(SHA, 0, "lost")
        wait_until(lambda: not server.late, "the late replies were sent")
        assert client.evalsha(SHA, 0, "mine") == b"mine"
        client.close()


def test_a_signal_between_question_and_answer_gives_the_reply_up() -> None:
    """A soft time limit of Celery raises anywhere; what was asked before it must not answer what is asked next."""

    class Enough(Exception):
        pass

    def stop(*_: object) -> None:
        raise Enough

    def interrupt() -> None:
        wait_until(lambda: server.late, "the question was asked")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    with scripted_redis([]) as server:
        client = connect(server.url, timeout=60)
        assert client.evalsha(SHA, 0, "connected") == b"connected"
        server.plan.append("late")
        before = signal.signal(signal.SIGALRM, stop)
        interrupter = threading.Thread(target=interrupt)
        try:
            interrupter.start()
            with pytest.raises(Enough):
                client.evalsha(SHA, 0, "interrupted")
            interrupter.join()
        finally:
            signal.signal(signal.SIGALRM, before)
        assert client.evalsha(SHA, 0, "next") == b"next"
        client.close()


def test_a_connection_that_the_server_closed_while_idle_is_made_anew_also_without_retries() -> None:
    with scripted_redis(["close", "reply"]) as server:
        client = fail_fast(connect(server.url), 60)
        assert isinstance(client, LeanRedis)
        assert client.evalsha(SHA, 0, "a") == b"a"
        wait_until_closed(client, server)
        assert client.evalsha(SHA, 0, "b") == b"b"
        assert server.asked == [b"a", b"b"]
        client.close()


def test_a_forked_process_makes_a_connection_of_its_own(redis_client: redis.Redis, tmp_path: Path) -> None:
    path = tmp_path / "who.lua"
    path.write_text("redis.call('HINCRBY', KEYS[1], ARGV[1], 1); return ARGV[1]")
    script = LuaScript(path)
    assert script(redis_client, ["who"], ["parent"]) == b"parent"
    assert isinstance(redis_client, LeanRedis)
    child = os.fork()
    if child == 0:
        try:
            answers = [script(redis_client, ["who"], [f"child {number}"]) for number in range(200)]
            right = answers == [f"child {number}".encode() for number in range(200)]
            own = all(connection.pid == os.getpid() for connection in redis_client._idle)
            os._exit(0 if right and own else 1)
        finally:
            os._exit(2)
    answers = [script(redis_client, ["who"], [f"parent {number}"]) for number in range(200)]
    _, status = os.waitpid(child, 0)
    assert answers == [f"parent {number}".encode() for number in range(200)]
    assert os.waitstatus_to_exitcode(status) == 0


def test_threads_share_a_client(redis_client: redis.Redis, tmp_path: Path) -> None:
    path = tmp_path / "echo.lua"
    path.write_text("return ARGV[1]")
    script = LuaScript(path)
    wrong: list[object] = []

    def ask(thread: int) -> None:
        for number in range(200):
            text = f"{thread} {number}".encode()
            if (answer := script(redis_client, [], [text])) != text:
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert isinstance(redis_client, LeanRedis)
    assert len(redis_client._idle) <= 8


def test_a_script_is_sent_again_after_a_flush_and_with_any_argument(redis_client: redis.Redis, tmp_path: Path) -> None:
    path = tmp_path / "all.lua"
    path.write_text("return ARGV")
    script = LuaScript(path)
    arguments: list[Any] = [b"\x00\xff", "é", 7, -1, 1.5, b""]
    expected = [b"\x00\xff", "é".encode(), b"7", b"-1", b"1.5", b""]
    assert script(redis_client, [], arguments) == expected
    redis_client.script_flush()
    assert script(redis_client, [], arguments) == expected
    assert script(redis_client, [], [bytearray(b"rare"), memoryview(b"kinds")]) == [b"rare", b"kinds"]  # type: ignore[list-item]
    with pytest.raises(redis.DataError):
        script(redis_client, [], [None])  # type: ignore[list-item]


def test_password_database_and_memory_limit_are_as_with_redis_py(make_redis: MakeRedis, tmp_path: Path) -> None:
    server = make_redis(tcp_port=0)
    path = tmp_path / "fill.lua"
    path.write_text("redis.call('SET', KEYS[1], ARGV[1]); return 1")
    script = LuaScript(path)
    with connect(server.url.removesuffix("/0") + "/3") as client:
        assert script(client, ["where"], ["x"]) == 1
        assert client.info("keyspace").keys() == {"db3"}
        client.config_set("maxmemory", 1)
        with pytest.raises(redis.ResponseError, match="OOM") as refused:
            script(client, ["more"], ["y"])
        with pytest.raises(redis.ResponseError, match="OOM") as same:
            LuaScript(path)(plain(server.url), ["more"], ["y"])
        assert type(refused.value) is type(same.value)
    wrong = "redis://:wrong@" + server.url.partition("@")[2]
    with connect(wrong) as client, pytest.raises(redis.AuthenticationError):
        script(client, ["k"], ["v"])
