"""A component of your own with its own degradation rules: no Celery, no ledger, no Solana.

A picture service renders thumbnails. When too many pictures wait, it takes no new ones (READ_ONLY) but goes on
showing what is rendered; when the queue has drained it takes pictures again. An operator can step in at any time.

    python -m examples.own_component [REDIS_URL]

With a URL the modes are shared with every process that uses the same one; without, they stay in this process.
"""

from __future__ import annotations

import sys
import time
from collections import deque

from recovery.degradation import (
    CallableSignal,
    DegradationManager,
    DegradationMode,
    OperationRefused,
    Rule,
    SharedRules,
    collect,
)

COMPONENT = "thumbnails"


class Thumbnails:
    """Takes pictures, renders some each turn, and asks the manager before both taking and showing."""

    def __init__(self, manager: DegradationManager) -> None:
        self._manager = manager
        self._waiting: deque[str] = deque()
        self.rendered: list[str] = []
        manager.register(COMPONENT, ["READ", "WRITE", "HEALTH_CHECK"])

    def waiting(self) -> float:
        return float(len(self._waiting))

    def take(self, picture: str) -> None:
        """Raises OperationRefused while the component takes nothing."""
        self._manager.check(COMPONENT, "WRITE")
        self._waiting.append(picture)

    def show(self) -> str:
        """Raises OperationRefused while the component shows nothing."""
        self._manager.check(COMPONENT, "READ")
        return f"{len(self.rendered)} thumbnails"

    def render(self, count: int) -> None:
        # Not gated: it is the work that lets the rule's signal recover.
        for _ in range(min(count, len(self._waiting))):
            self.rendered.append(self._waiting.popleft())


def main(url: str | None = None) -> None:
    """Overload the service, watch it degrade and recover, then override it by hand."""
    manager = DegradationManager(url, namespace="own-component-example")
    service = Thumbnails(manager)
    signals = [CallableSignal("thumbnails_waiting", service.waiting)]
    rule = Rule(
        "too-many-waiting",
        COMPONENT,
        "thumbnails_waiting",
        enter=50,
        leave=10,
        mode=DegradationMode.READ_ONLY,
        dwell=0.2,
    )
    rules = SharedRules(manager, [rule])

    taken = refused = 0
    longest = 0.0
    for turn in range(30):
        for picture in range(10):
            try:
                service.take(f"{turn}/{picture}.png")
                taken += 1
            except OperationRefused as refusal:
                refused += 1
                if refused == 1:
                    print(f"refused: {refusal}")
                    print(f"but shows: {service.show()}")
        service.render(4)
        for decision in rules.evaluate(collect(signals)):
            print(f"{decision.rule.name}: {decision.was.mode.name} -> {decision.state.mode.name}")
        time.sleep(0.05)
        longest = max(longest, service.waiting())
    print(f"taken {taken}, refused {refused}, at most {longest:.0f} waiting")
    # The second overload came within ten minutes of the first one's end, which is a flap: the rule now stays
    # strict for ten minutes, however often the queue drains.
    print(manager.explain(COMPONENT, "WRITE"))

    for name, operation in manager.would_refuse("ESSENTIAL_ONLY", COMPONENT):
        print(f"ESSENTIAL_ONLY would refuse {name} {operation}")
    manager.set_component_mode(COMPONENT, "ESSENTIAL_ONLY", actor="ann", reason="moving the disk", duration=60)
    print(manager.explain(COMPONENT, "READ"))
    manager.clear(COMPONENT, actor="ann", reason="moved")
    for entry in reversed(manager.history()):
        print(f"{entry.cause}: {entry.was} -> {entry.mode} by {entry.actor} ({entry.reason})")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
