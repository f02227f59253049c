"""Asking a page as a program would: with or without a login, and no error for a status that is one."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Mapping


def fetch(
    url: str,
    *,
    login: str = "",
    data: bytes | None = None,
    timeout: float = 10.0,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """The status and the body of an answer."""
    sent = dict(headers or {})
    if login:
        sent["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    request = urllib.request.Request(url, data=data, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
