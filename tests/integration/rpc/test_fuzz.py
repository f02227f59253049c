"""Whatever comes in, a JSON-RPC answer goes out. The chaos suite does this 100,000 times."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.support.rpc.node import Node
from tests.support.rpc.requests import bodies, check_answer


@settings(
    max_examples=1500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=bodies)
def test_every_request_gets_a_json_rpc_answer(node: Node, body: bytes) -> None:
    reply = node.post(body)
    assert reply.status in (200, 429)
    check_answer(body, reply.body)
