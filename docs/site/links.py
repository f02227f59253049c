"""For mkdocs: links to files outside of docs/ become their names, since a site has only the documents."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://|#)([^)#]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page's text as the site has it."""
    folder = posixpath.dirname(page.file.src_uri)

    def shown(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        inside = target.startswith("docs/") and target.rpartition(".")[2] in ("md", "png", "svg")
        return link[0] if inside else f"{link[1]} (`{target}`)"

    return _LINK.sub(shown, markdown)
