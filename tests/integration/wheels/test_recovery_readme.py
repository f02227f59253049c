"""recovery/README.md's programs, as they stand there, on a real Redis."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from recovery import DeadLetter, DeadLetters, Part
from recovery.checkpoints.components import ComponentLayer
from recovery.checkpoints.manifest import Manifest
from recovery.checkpoints.parts import Batch
from recovery.connections import connect
from recovery.task import FaultTolerantTask
from tests.support.paths import ROOT

pytestmark = pytest.mark.real_redis


class Stock:
    """A component of a shop's."""

    def __init__(self) -> None:
        self.live, self._loaded = b"7 books", b""

    def checkpoint_parts(self, base: Manifest | None) -> Iterable[Part]:
        return [Part("rows", [Batch(self.live, 1)])]

    def restore_parts(self, layers: Sequence[ComponentLayer]) -> None:
        self._loaded = b"".join(batch.data for batch in layers[-1].read("rows"))

    def activate_restored(self) -> None:
        self.live = self._loaded

    def discard_restored(self) -> None:
        self._loaded = b""


def test_what_it_shows_runs(redis_url: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "recovery/README.md").read_text(), re.MULTILINE | re.DOTALL)
    text = "\n".join(blocks).replace('connect("redis://localhost/0")', f"connect({redis_url!r})")
    text = text.replace('redis="redis://localhost/0"', f"redis={redis_url!r}")
    text = text.replace("file:///var/lib/shop/archive", (tmp_path / "archive").as_uri())
    text = text.replace('Path("identity.json")', f"Path({str(tmp_path / 'identity.json')!r})")
    stock = Stock()
    charged: list[int] = []
    letter = DeadLetter(
        id=b"order-17", kind="payment", payload=b"17", reason="declined", attempts=3, first_at=0.0, last_at=1.0
    )
    with connect(redis_url) as client:
        DeadLetters(client, "payments").add(letter)
    names: dict[str, Any] = {"post_charge": charged.append, "order": 17, "stock": stock}
    exec(compile(text, "recovery/README.md", "exec"), names)
    assert charged == [17]
    assert isinstance(names["charge_card"], FaultTolerantTask)
    assert names["letter"] == letter
    assert names["letters"].pop_for_replay(b"order-17") is None
    stock.live = b"broken"
    assert names["manager"].auto_recover().sequence == 7
    assert stock.live == b"7 books"
    assert names["store"].newest_verified().sequence == 7
    names["app"].close()
    names["redis"].close()
