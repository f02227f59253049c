"""What stands in the table of Flower's first page, for tests that need no browser: the page fetches it as JSON."""

from __future__ import annotations

import json
import urllib.request
from typing import Any


def online(url: str) -> dict[str, dict[str, Any]]:
    """The rows of the workers that are online, by the first part of their names; empty while Flower does not answer."""
    try:
        with urllib.request.urlopen(f"{url}/workers?json=1", timeout=5) as reply:
            rows = json.load(reply)["data"]
    except OSError:
        return {}
    return {row["hostname"].partition("@")[0]: row for row in rows if row["status"]}
