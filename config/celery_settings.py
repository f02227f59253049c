"""Celery's settings, for a Redis or a RabbitMQ as broker. Each line says why."""

from __future__ import annotations

from typing import Any

from config import queues
from config.addresses import is_amqp, sentinel_options
from config.sections import DEFAULT_LEDGER
from config.settings import Settings


def celery_settings(settings: Settings) -> dict[str, Any]:
    """The configuration of the Celery app for `settings`. Raises ConfigurationError without a known broker."""
    url = settings.celery_url()
    return {
        "broker_url": url,
        **_delivery(),
        "task_queues": queues.queue_objects(quorum=is_amqp(url)),
        **_connections(),
        **(_rabbitmq() if is_amqp(url) else _redis(settings)),
        **_messages(),
        **_worker(settings),
        "beat_schedule": beat_schedule(settings),
        # By monotonic time, and never more messages than are taken. Intervals only, so there is nothing to remember:
        # no schedule file that a kill could tear.
        "beat_scheduler": "workers.beat:BoundedScheduler",
        # Beat must look at least as often as the shortest interval.
        "beat_max_loop_interval": min(0.2, settings.blocks.slot_interval / 2),
    }


def _delivery() -> dict[str, Any]:
    return {
        # Acknowledge after the work: a killed worker's message comes back.
        "task_acks_late": True,
        # A task that failed for good has been recorded or dead-lettered; bringing it back would repeat it.
        "task_acks_on_failure_or_timeout": True,
        # A pool child that died (kill -9, OOM) took no decision: requeue at once, marked as redelivered.
        "task_reject_on_worker_lost": True,
        # Outcomes live in the ledger, so results would only cost round trips.
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        # Explicit queues only: a typo in a queue name must not create one that nobody consumes.
        "task_create_missing_queues": False,
        "task_default_queue": queues.MAINTENANCE,
        "task_routes": queues.ROUTES,
        # Publishing: a short, bounded retry; the sweeper re-enqueues whatever stays unpublished.
        "task_publish_retry": True,
        "task_publish_retry_policy": {
            "max_retries": 2,
            "interval_start": 0.05,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
    }


def _redis(settings: Settings) -> dict[str, Any]:
    return {
        "broker_transport_options": {
            # A message unacknowledged this long is delivered again (default: an hour). What intake knows of is
            # brought back by the sweeper long before; this is for messages that other clients sent.
            "visibility_timeout": settings.broker.visibility_timeout,
            # Look for such messages every 5 s: kombu scans at each Nth (throttle) of these intervals, and the
            # defaults of 10 and 10 make that 100 s ...
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            # ... a bounded number at a time (default: all), so that the scan never holds the event loop up ...
            "unacked_restore_limit": 1000,
            # ... and do not let a restorer killed while holding the mutex block the others (default: 300 s).
            "unacked_mutex_expire": 10,
            # kombu passes no timeouts of its own: without these a silent network hangs a publisher or an
            # acknowledgement for good. It must exceed BRPOP's own wait, which is 1 s in kombu.
            "socket_timeout": 3,
            "socket_connect_timeout": 2,
            # Notice a peer that vanished without closing the connection; dropped by kombu for a Unix socket.
            "socket_keepalive": True,
            # PING before a connection that was idle this long is used again; a BRPOP overdue by this is dropped.
            "health_check_interval": 15,
            # Queues are named alike for all ledgers; on a shared broker each has its own all the same. The default
            # ledger's have no prefix, so that any Celery client finds them.
            "global_keyprefix": _key_prefix(settings.ledger.name),
            **_sentinels(settings),
        },
        # Quorum queues are RabbitMQ's; the check would only ask Redis in vain.
        "worker_detect_quorum_queues": False,
    }


def _sentinels(settings: Settings) -> dict[str, Any]:
    options = sentinel_options(settings.broker_url())
    if not options:
        return {}
    login = {name: options[f"sentinel_{name}"] for name in ("username", "password") if f"sentinel_{name}" in options}
    return {
        "master_name": options["master_name"],
        # One Sentinel that hangs must not use up the time in which the next one would answer.
        "sentinel_kwargs": {**login, "socket_timeout": 0.5, "socket_connect_timeout": 0.5},
    }


def _rabbitmq() -> dict[str, Any]:
    return {
        "broker_transport_options": {
            # A publish returns once the message is on a majority of the servers: a task that is published again and
            # then acknowledged would otherwise be lost between the two.
            "confirm_publish": True,
        },
        # A peer that vanished is noticed after twice this many seconds (default: 120); the worker's event loop sends
        # and checks them.
        "broker_heartbeat": 10,
        # Prefetch by consumer, and countdowns that RabbitMQ holds and not the worker: what quorum queues need.
        "worker_detect_quorum_queues": True,
    }


def _connections() -> dict[str, Any]:
    return {
        # Wait for the broker for as long as it takes, at boot and later.
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Errors on the channel (a restarted or emptied server) reconnect as well instead of ending the worker.
        "broker_channel_error_retry": True,
        # Let running tasks end after a lost connection: commits are fenced and idempotent.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # Giving up the first connection of a publisher takes no longer than the others (default: 4 s).
        "broker_connection_timeout": 2,
        # One connection per producing thread is plenty; a pool of ten would hold sockets open for nothing.
        "broker_pool_limit": 4,
    }


def _key_prefix(ledger: str) -> str:
    return "" if ledger == DEFAULT_LEDGER else f"tl:{{{ledger}}}:broker:"


def _messages() -> dict[str, Any]:
    return {
        # Never pickle: a message must not be able to run code.
        "accept_content": ["json", "msgpack"],
        "task_serializer": "json",
        "result_serializer": "json",
        "result_accept_content": ["json", "msgpack"],
        # People read times in Flower; machines use UTC.
        "enable_utc": True,
        "timezone": "UTC",
    }


def _worker(settings: Settings) -> dict[str, Any]:
    return {
        # One message running and one waiting per process: a child never idles for a round trip, and what a killed
        # worker held back is small. (`worker_disable_prefetch` fetches only for an idle child: less held back, but
        # the sweeper finds that in seconds anyway, and every message would pay the round trip.)
        "worker_prefetch_multiplier": 2,
        # Messages waiting for their countdown raise the prefetch count: in an outage a worker would otherwise pull
        # the whole queue into its memory.
        "worker_eta_task_limit": 1000,
        "worker_concurrency": settings.worker.concurrency,
        # A child above this (KiB) is replaced after its task, before fragmentation grows on it.
        "worker_max_memory_per_child": 500_000,
        # SIGTERM stops consuming and lets what runs finish, however long. SIGQUIT, or SIGTERM with
        # REMAP_SIGTERM=SIGQUIT, gives it this many seconds, then requeues (default: 0, at once). An idle
        # worker ends at once in any case.
        "worker_soft_shutdown_timeout": 10.0,
        "worker_enable_soft_shutdown_on_idle": False,
        # Celery would otherwise replace the handlers of structured logging.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # Flower switches task events on when it watches; nothing is paid without it.
        "worker_send_task_events": False,
        "task_send_sent_event": False,
    }


def beat_schedule(settings: Settings) -> dict[str, Any]:
    """Beat's entries. None expires: that would compare beat's clock with a worker's. `workers.beat` bounds them."""

    def every(seconds: float, task: str) -> dict[str, Any]:
        return {"task": task, "schedule": seconds}

    return {
        "seal": every(settings.blocks.slot_interval, queues.SEAL),
        "sweep": every(settings.sweep.interval, queues.SWEEP),
        # Asks often and does nothing until a checkpoint is due by time or by number.
        "checkpoint": every(min(5.0, settings.checkpoints.interval), queues.CREATE_CHECKPOINT),
        "scrub": every(settings.archive.scrub_interval, queues.SCRUB_CHECKPOINTS),
        "health": every(1.0, queues.EVALUATE_HEALTH),
    }
