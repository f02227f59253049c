"""docs/metrics.md and Prometheus' rules, made from the code: `python -m workers.metrics.reference` writes both."""

from __future__ import annotations

from pathlib import Path

from config.metrics import METRICS, Metric, Source
from workers.overview.alerts import ALERTS, Alert

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "metrics.md"
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"

_INTRODUCTION = """\
# Metrics

For Prometheus, at three places:

- **Flower's `/metrics`**: Flower's own, what the ledger shows, and what the processes of the same `up` counted.
- **`up` with `TRUNKLINE_METRICS_PORT`**: the same without Flower's own.
- **a worker started alone with `TRUNKLINE_METRICS_PORT`**: what it and its pool counted, and what the ledger shows.

`TRUNKLINE_METRICS_HOST` is the address (this machine only, unless said). What is read of the ledger is the same
wherever it is asked, so ask for it at one place; what processes counted must be asked of every host. The processes of
an instance keep their counts together in the files of one folder (`TRUNKLINE_METRICS_FOLDER`, set by `up`): each pool
child writes its own, a scrape adds them up, and a count outlives the process that made it. A worker counts a message's
transactions together, when it has run (`python -m benchmarks.cpu` has that among the pool child's time); an RPC server
adds its calls up once a second.

[deploy/prometheus](../deploy/prometheus/prometheus.yml) has a scrape configuration and the
[rules of the alerts](../deploy/prometheus/alerts.yml), whose entries are in the [runbook](runbook.md);
[deploy/grafana](../deploy/grafana/trunkline.json) a dashboard.

This page is made from the code by `make metrics`.
"""
_HEAD = "| metric | kind | labels | meaning |\n|---|---|---|---|\n"


def reference() -> str:
    """The text of docs/metrics.md."""
    parts = [_INTRODUCTION]
    for source, heading in ((Source.PROCESS, "Counted by processes"), (Source.LEDGER, "Read of the ledger")):
        parts.append(f"\n## {heading}\n\n{_HEAD}")
        parts += [_row(metric) for metric in METRICS if metric.source is source]
    return "".join(parts)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.meaning} |\n"


def rules() -> str:
    """The text of deploy/prometheus/alerts.yml."""
    head = "# Made from workers/overview/alerts.py by `make metrics`.\ngroups:\n  - name: trunkline\n    rules:\n"
    return head + "".join(map(_rule, ALERTS))


def _rule(alert: Alert) -> str:
    return f"""\
      - alert: {alert.name}
        expr: {_quoted(alert.expr)}
        for: {alert.wait}
        labels:
          severity: {alert.severity}
        annotations:
          summary: {_quoted(alert.summary)}
          runbook: "docs/runbook.md#{alert.name.lower()}"
"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def main() -> None:
    """Write both."""
    DOCUMENT.write_text(reference())
    RULES.parent.mkdir(parents=True, exist_ok=True)
    RULES.write_text(rules())


if __name__ == "__main__":
    main()
