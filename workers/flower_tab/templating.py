"""Our templates before Flower's own, and Flower's navigation with one entry more. Nothing of Flower is copied."""

from __future__ import annotations

from pathlib import Path

from tornado.template import Loader, Template

from config.errors import TrunklineError

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"

NAVBAR = "navbar.html"
#: The end of the list of pages in Flower's navigation; the list of icons behind it has an end of its own.
_END = b"</ul>"
_ENTRY = b"""
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'resilience' %} active{% end %}"
            href="{{ reverse_url('resilience') }}"
            {% if active_tab == 'resilience' %}aria-current="page"{% end %}>Resilience</a>
        </li>
      """


class NavigationChanged(TrunklineError):
    """Flower's navigation is not what this version knows; the pinned Flower has it right."""


class OursFirst(Loader):
    """Loads a template from our folder, else from Flower's."""

    def _create_template(self, name: str) -> Template:
        ours = TEMPLATES / name
        source = ours.read_bytes() if ours.is_file() else (Path(self.root) / name).read_bytes()
        if name == NAVBAR:
            source = with_entry(source)
        return Template(source, name=name, loader=self)


def with_entry(navbar: bytes) -> bytes:
    """Flower's navigation with our page behind its last one. Raises NavigationChanged."""
    before, end, after = navbar.partition(_END)
    if not end or b"reverse_url('broker')" not in before:
        raise NavigationChanged("Flower's navbar.html has no list of pages that ends behind the broker.")
    return before + _ENTRY + end + after
