"""Adds the tab to a Flower that is about to start: its handlers, its templates, the thread that watches.

Flower tells its Celery app of itself once, while it makes its web application; the one moment later at which that
application is whole and nothing was served yet is the start of its HTTP server. So that method gets ours before it.
"""

from __future__ import annotations

from typing import Any

from flower.app import Flower, rewrite_handler
from prometheus_client import REGISTRY
from tornado.web import StaticFileHandler, url

from config.settings import Settings
from workers.flower_tab.handlers import (
    BatchView,
    ChangeView,
    DataView,
    ExplainView,
    LettersView,
    Parts,
    ResilienceView,
    TransactionView,
)
from workers.flower_tab.sampler import Sampler
from workers.flower_tab.templating import NAVBAR, STATIC, TASK, OursFirst
from workers.metrics.collector import LedgerCollector
from workers.metrics.server import add_counts
from workers.overview.broker_depth import BrokerDepth
from workers.overview.gathering import Gatherer

PATH = "/resilience"


def install_tab(configured: Settings) -> None:
    """Have the Flower of this process begin with our tab. Raises TemplateChanged when it begins."""
    begin = Flower.start_http_server

    def begin_with_tab(application: Any) -> Any:
        add_tab(application, configured)
        return begin(application)

    Flower.start_http_server = begin_with_tab


def add_tab(application: Any, configured: Settings) -> None:
    """Add the tab to `application`, behind its url_prefix, and begin to watch. Raises TemplateChanged."""
    sampler = Sampler(Gatherer(configured, broker=BrokerDepth(configured)), ledger=configured.ledger.name)
    loader = OursFirst(application.settings["template_path"])
    # Now, and not only when their first pages are asked for.
    for name in (NAVBAR, TASK):
        loader.load(name)
    application.settings["template_loader"] = loader
    prefix = application.options.url_prefix
    ours = routes(Parts(configured, sampler))
    application.add_handlers(".*", [rewrite_handler(one, prefix) if prefix else one for one in ours])
    # Flower's own /metrics shows this registry.
    REGISTRY.register(LedgerCollector(lambda: sampler.latest(0).overview))
    add_counts(REGISTRY, configured.metrics.folder)
    sampler.start()


def routes(parts: Parts) -> list[Any]:
    """The handlers of the tab."""
    shared = {"parts": parts}
    return [
        url(PATH, ResilienceView, shared, name="resilience"),
        url(rf"{PATH}/data", DataView, shared),
        url(rf"{PATH}/letters", LettersView, shared),
        url(rf"{PATH}/explain", ExplainView, shared),
        url(rf"{PATH}/transaction", TransactionView, shared, name="transaction"),
        url(rf"{PATH}/batch/(.+)", BatchView, shared),
        url(rf"{PATH}/change/([a-z-]+)", ChangeView, shared),
        url(rf"{PATH}/static/(.*)", StaticFileHandler, {"path": str(STATIC)}),
    ]
