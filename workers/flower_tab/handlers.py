"""The requests of the tab. None of them waits for Redis in the event loop: what waits has threads of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import redis
from flower.utils.tasks import get_task_by_id
from flower.views import BaseHandler
from tornado import web

from config.errors import TrunklineError
from config.settings import Settings
from recovery.errors import RecoveryError
from workers.flower_tab.messages import batches, find_message, result_text
from workers.flower_tab.sampler import Sampler
from workers.overview.alerts import firing
from workers.overview.diagnosis import diagnose
from workers.overview.facts import overview_facts
from workers.overview.operations import Operations, Request

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds until a request that waits for Redis or the archive is told that it took too long.
PATIENCE = 10.0
#: Bytes of a request that changes something.
MAX_BODY = 4096
#: Errors that say what is wrong in words.
OURS = (TrunklineError, RecoveryError, ValueError, redis.RedisError)


class Parts:
    """What the handlers share: the newest snapshot, the operations, and the threads in which those may wait."""

    def __init__(self, settings: Settings, sampler: Sampler) -> None:
        self.settings = settings
        self.sampler = sampler
        self.operations = Operations(settings)
        self.threads = ThreadPoolExecutor(2, thread_name_prefix="trunkline-tab")

    async def wait_for(self, work: Callable[[], T]) -> T:
        """The result of `work`, run in a thread. Raises TimeoutError when that takes too long."""
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.run_in_executor(self.threads, work), PATIENCE)


class Page(BaseHandler):  # type: ignore[misc]
    """What all our requests share."""

    def initialize(self, parts: Parts) -> None:
        self.parts = parts

    @property
    def why_read_only(self) -> str:
        """Why this visitor may change nothing, "" when he may."""
        options = self.application.options
        if options.read_only:
            return "this Flower was started with --read_only"
        if not (options.basic_auth or options.auth):
            return "this Flower has no login; start it with --basic_auth or --auth to change anything here"
        return "" if self.current_user else "you are not logged in"

    @property
    def actor(self) -> str:
        """Who asks, for the histories."""
        if isinstance(self.current_user, str):
            return f"{self.current_user} (Flower)"
        _, _, credentials = self.request.headers.get("Authorization", "").partition(" ")
        try:
            name = b64decode(credentials).decode().partition(":")[0]
        except ValueError:
            name = ""
        return f"{name or 'somebody'} (Flower)"

    def answer(self, data: Any) -> None:
        """Send `data` as JSON that no cache keeps."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(data))

    async def attempt(self, work: Callable[[], Any]) -> None:
        """Send what `work` returns, or its error in words with a status that says whose fault it is."""
        try:
            self.answer(await self.parts.wait_for(work))
        except TimeoutError:
            self.set_status(504)
            self.answer({"error": f"No answer within {PATIENCE:g} s; try again."})
        except redis.RedisError as error:
            self.set_status(503)
            self.answer({"error": f"Redis does not answer as it should: {error}"})
        except OURS as error:
            self.set_status(400)
            self.answer({"error": str(error)})


class ResilienceView(Page):
    """The page; its data comes by itself."""

    @web.authenticated
    def get(self) -> None:
        self.render("resilience.html", why_read_only=self.why_read_only)


class DataView(Page):
    """The newest snapshot, from memory."""

    @web.authenticated
    def get(self) -> None:
        points = min(max(self.get_argument("points", 600, type=int), 0), 600)
        sample = self.parts.sampler.latest(points)
        diagnosis = diagnose(sample.overview)
        facts = overview_facts(sample.overview, diagnosis)
        facts["age"] = sample.age
        facts["alerts"] = [asdict(alert) for alert in firing(sample.overview)]
        facts["points"] = [
            [point.at, point.ok, point.failed, point.refused, point.accepted, point.backlog, point.parked]
            for point in sample.points
        ]
        facts["why_read_only"] = self.why_read_only
        self.answer(facts)


class LettersView(Page):
    """Some of the dead letters."""

    @web.authenticated
    async def get(self) -> None:
        await self.attempt(self.parts.operations.letters)


class ExplainView(Page):
    """Why a component may do an operation, or not, in words."""

    @web.authenticated
    async def get(self) -> None:
        component = self.get_argument("component", "transactions", escape=False)
        operation = self.get_argument("operation", "WRITE", escape=False)
        await self.attempt(lambda: {"text": self.parts.operations.explain(component, operation)})


class TransactionView(Page):
    """The page of one transaction: its whole way."""

    @web.authenticated
    async def get(self) -> None:
        signature = self.get_argument("signature", "", escape=False)
        known = batches(self.application.events.state)
        operations = self.parts.operations
        trace, error = None, ""
        try:
            find = partial(find_message, known)
            trace = await self.parts.wait_for(lambda: operations.trace(signature, find))
        except TimeoutError:
            error = f"No answer within {PATIENCE:g} s; try again."
        except OURS as problem:
            error = str(problem)
        self.render("transaction.html", signature=signature, trace=trace, error=error, when=when)


class BatchView(Page):
    """The transactions of a batch, by the id of its task, with what each came to."""

    @web.authenticated
    async def get(self, task_id: str) -> None:
        task = get_task_by_id(self.application.events, task_id)
        if task is None:
            raise web.HTTPError(404, "Flower knows no such task (any more).")
        text = result_text(task)
        await self.attempt(lambda: self.parts.operations.batch(text))


def when(at: float | None) -> str:
    """A time for people, "" where it is not known."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


class ChangeView(Page):
    """A change by an operator: needs a login, and a token that only our own pages know."""

    def check_xsrf_cookie(self) -> None:
        # Flower waives the token for basic authentication; but browsers add those credentials by themselves.
        super().check_xsrf_cookie()
        web.RequestHandler.check_xsrf_cookie(self)

    @web.authenticated
    async def post(self, change: str) -> None:
        if self.why_read_only:
            raise web.HTTPError(403, f"Nothing may be changed: {self.why_read_only}.")
        if len(self.request.body) > MAX_BODY:
            raise web.HTTPError(413, "The request is too long.")
        body, actor = self.request.body, self.actor
        await self.attempt(lambda: {"done": self._change(change, body, actor)})
        self.parts.sampler.soon()

    def _change(self, change: str, body: bytes, actor: str) -> str:
        request = Request.parse(body, actor)
        logger.warning("Flower: %s asks for %s of %s (%s)", actor, change, request.name, request.reason)
        return self.parts.operations.change(change, request)
