"""What an RPC server counts for Prometheus."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry

from tests.support.rpc.node import MakeNode
from workers.metrics.server import add_counts


def test_calls_are_counted_by_method_and_end(make_node: MakeNode, tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    node = make_node(metrics_folder=folder)
    for _ in range(3):
        node.call("getSlot")
    node.error("getBalance", "no address")
    node.error("madeUp1")
    node.error("madeUp2")
    node.rpc.dispatcher.counts.flush()
    registry = CollectorRegistry()
    add_counts(registry, folder)

    def calls(method: str, result: str) -> float | None:
        return registry.get_sample_value("trunkline_rpc_calls_total", {"method": method, "result": result})

    assert calls("getSlot", "ok") == 3
    assert calls("getBalance", "-32602") == 1
    assert calls("unknown", "-32601") == 2
    spent = registry.get_sample_value("trunkline_rpc_call_seconds_total", {"method": "getSlot"})
    assert spent is not None
    assert spent > 0
