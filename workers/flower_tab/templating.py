"""Our templates before Flower's own; to its navigation and its page of a task something is added, nothing copied."""

from __future__ import annotations

from pathlib import Path

from tornado.template import Loader, Template

from config.errors import TrunklineError

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"

NAVBAR, TASK = "navbar.html", "task.html"
#: The end of the list of pages in Flower's navigation; the list of icons behind it has an end of its own.
_END = b"</ul>"
_ENTRY = b"""
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'resilience' %} active{% end %}"
            href="{{ reverse_url('resilience') }}"
            {% if active_tab == 'resilience' %}aria-current="page"{% end %}>Resilience</a>
        </li>
      """


#: The end of the details of a task, the last section of that page.
_LAST_SECTION = b"</section>"
_BATCH = b"""
  {% if task.name in ("transactions.process_batch", "transactions.process") %}
  <link href="{{ reverse_url('resilience') }}/static/resilience.css" rel="stylesheet">
  <section class="tl-card" id="tl-batch" data-base="{{ reverse_url('resilience') }}" data-task="{{ task.uuid }}"
    aria-label="Transactions of the batch">
    <h2>Transactions</h2>
    <p class="tl-note" id="tl-batch-counts">Reading...</p>
    <table class="table table-sm align-middle mb-0" id="tl-batch-table">
      <thead><tr><th>Signature</th><th>Outcome</th><th>Slot</th><th>Number</th></tr></thead><tbody></tbody>
    </table>
  </section>
  <script src="{{ reverse_url('resilience') }}/static/batch.js"></script>
  {% end %}
"""


class TemplateChanged(TrunklineError):
    """A template of Flower is not what this version knows; the pinned Flower has it right."""


class OursFirst(Loader):
    """Loads a template from our folder, else from Flower's."""

    def _create_template(self, name: str) -> Template:
        ours = TEMPLATES / name
        source = ours.read_bytes() if ours.is_file() else (Path(self.root) / name).read_bytes()
        if name == NAVBAR:
            source = with_entry(source)
        elif name == TASK:
            source = with_batch(source)
        return Template(source, name=name, loader=self)


def with_entry(navbar: bytes) -> bytes:
    """Flower's navigation with our page behind its last one. Raises TemplateChanged."""
    before, end, after = navbar.partition(_END)
    if not end or b"reverse_url('broker')" not in before:
        raise TemplateChanged("Flower's navbar.html has no list of pages that ends behind the broker.")
    return before + _ENTRY + end + after


def with_batch(task: bytes) -> bytes:
    """Flower's page of a task with the transactions of a batch below its details. Raises TemplateChanged."""
    before, end, after = task.rpartition(_LAST_SECTION)
    if not end:
        raise TemplateChanged("Flower's task.html has no section.")
    return before + end + _BATCH + after
