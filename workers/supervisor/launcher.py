"""Starts, scales and stops the processes of one instance: what `trunkline up` and the demo run."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.errors import TrunklineError
from config.instance import FILE_NAME, remove_instance, write_instance
from config.settings import Settings
from workers.answering import require_servers
from workers.supervisor import commands
from workers.supervisor.embedded_redis import EmbeddedRedis
from workers.supervisor.instance_lock import InstanceLock
from workers.supervisor.ports import LOOPBACK, choose_pair, choose_port
from workers.supervisor.processes import Child, set_aside
from workers.supervisor.stop_signals import StopSignals
from workers.supervisor.supervisor import Supervisor

FLOWER_PORT = 5555
RPC_PORT = 8899
#: Seconds that beat, Flower and the RPC server get to end, and workers to finish what they run.
BEAT_PATIENCE = 5.0
FLOWER_PATIENCE = 5.0
RPC_PATIENCE = 5.0
WORKER_PATIENCE = 15.0


class Launcher:
    """One instance: an embedded Redis (unless the settings name a server), Celery workers, beat and Flower.

    `workers` transaction workers; `redis_tcp_port` puts the embedded Redis on loopback TCP (0: any free port)
    instead of a Unix socket; `flower_port` None means 5555 or, when that is busy, some free one. With `rpc` the Solana
    RPC server runs, too: `rpc_port` is for HTTP (None: 8899 or some free one), the next one for websockets.
    `prepare(redis_url)` is called once Redis answers and before any worker starts: the place to initialise a
    ledger. `move_redis` lets a newer Redis take the data over, which is given to `notify`.
    `app` is Celery's `--app`.

    A child that dies is restarted after a growing delay. Children run in sessions of their own, so Ctrl-C at the
    terminal reaches only the launcher, and under a guard that ends them when the launcher is killed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        workers: int = 2,
        redis_tcp_port: int | None = None,
        flower_port: int | None = None,
        flower: bool = True,
        rpc: bool = False,
        rpc_port: int | None = None,
        prepare: Callable[[str], None] | None = None,
        move_redis: bool = False,
        notify: Callable[[str], None] = print,
        app: str = commands.APP,
    ) -> None:
        if workers < 0:
            raise TrunklineError(f"There cannot be {workers} workers.")
        self._settings = settings
        self._data = settings.data_dir.resolve()
        self._wanted = workers
        self._redis_tcp_port = redis_tcp_port
        self._flower_port = flower_port
        self._with_flower = flower
        self._with_rpc = rpc
        self._rpc_port = rpc_port
        self._prepare = prepare
        self._move_redis = move_redis
        self._notify = notify
        self._app = app
        self._lock = InstanceLock(self._data)
        self._signals = StopSignals()
        self._stopping = threading.Event()
        self._supervisor: Supervisor | None = None
        self._environment: dict[str, str] = {}
        self._workers: list[Child] = []
        self._maintenance: list[Child] = []
        self._beat: list[Child] = []
        self._flower: list[Child] = []
        self._rpc: list[Child] = []
        self.redis_url = ""
        self.broker_url = ""
        self.flower_url: str | None = None
        self.rpc_url: str | None = None

    @property
    def log_folder(self) -> Path:
        """Where every process writes its `<name>.log`."""
        return self._data / "log"

    @contextmanager
    def run(self) -> Iterator[dict[str, Any]]:
        """Start; hand out the instance's note; stop at the end, however that comes. Main thread only.

        Inside, SIGINT, SIGTERM and SIGHUP raise StopRequested (a KeyboardInterrupt); a further one while stopping
        cuts the waiting short.
        """
        with StopSignals() as signals:
            self._signals = signals
            try:
                try:
                    self.start()
                    yield self.note()
                finally:
                    signals.quiet()
            finally:
                self.stop()

    def start(self) -> None:
        """Start everything and return once Redis answers and all processes run.

        Raises TrunklineError (InstanceRunning, PortInUse, NoRedisServer, ...), leaving nothing behind.
        """
        try:
            supervisor = self._take_folder()
            if self._with_flower:
                self.flower_url = f"http://{LOOPBACK}:{choose_port(self._flower_port, FLOWER_PORT, 'Flower')}"
            if self._with_rpc:
                self.rpc_url = f"http://{LOOPBACK}:{choose_pair(self._rpc_port, RPC_PORT, 'the RPC server')}"
            self._start_redis(supervisor)
            write_instance(self._data, self.note())
            if self._prepare is not None:
                self._prepare(self.redis_url)
            self._start_children(supervisor)
            supervisor.watch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop in order: beat and Flower, workers (soft first), Redis last; then remove note and lock.

        Fine to call twice.
        """
        self._stopping.set()
        if self._supervisor is not None:
            self._supervisor.quiesce()
            self._supervisor.retire(self._beat, patience=BEAT_PATIENCE)
            self._supervisor.retire(self._flower, patience=FLOWER_PATIENCE)
            self._supervisor.retire(self._rpc, patience=RPC_PATIENCE)
            self._supervisor.retire([*self._workers, *self._maintenance], patience=WORKER_PATIENCE)
            self._supervisor.close()
            self._supervisor = None
            self._workers, self._maintenance, self._beat, self._flower, self._rpc = [], [], [], [], []
        if self._lock.held:
            self._clear_scratch()
            remove_instance(self._data)
            self._lock.release()

    def wait(self) -> None:
        """Block until a signal raises StopRequested or another thread calls `stop`."""
        while not self._stopping.wait(0.5):
            self._signals.check()

    def note(self) -> dict[str, Any]:
        """What `instance.json` says of this instance."""
        return {
            "redis_url": self.redis_url,
            "broker_url": self.broker_url,
            "flower_url": self.flower_url,
            "rpc_url": self.rpc_url,
            "pid": os.getpid(),
            "ledger": self._settings.ledger.name,
            "workers": self._wanted,
        }

    def scale(self, workers: int) -> None:
        """Run `workers` transaction workers; those too many finish what they run and end."""
        if workers < 0:
            raise TrunklineError(f"There cannot be {workers} workers.")
        supervisor = self._running()
        surplus = self._workers[workers:]
        del self._workers[workers:]
        supervisor.retire(surplus, patience=WORKER_PATIENCE)
        while len(self._workers) < workers:
            self._add_worker(supervisor)
        self._wanted = workers
        write_instance(self._data, self.note())

    def kill_worker(self, index: int) -> int:
        """SIGKILL transaction worker `index` (from 0) with its pool, as losing a machine would; it is restarted.

        Returns the process id it had. Raises TrunklineError when that worker does not run just now.
        """
        return self._running().kill(self._workers[index])

    def pids(self) -> dict[str, int | None]:
        """Process id by name (`redis`, `tx1` ..., `maintenance`, `beat`, `flower`); None while one is down."""
        return self._running().pids()

    def worker_pids(self) -> list[int | None]:
        """Process ids of the transaction workers, in order; None while one is down."""
        pids = self.pids()
        return [pids[worker.name] for worker in self._workers]

    @property
    def _scratch(self) -> Path:
        return self._data / "tmp"

    @property
    def metrics_folder(self) -> Path:
        """Where the processes keep their counts for Prometheus."""
        return self._scratch / "metrics"

    def _clear_scratch(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _take_folder(self) -> Supervisor:
        try:
            self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
            self._clear_scratch()
            self._scratch.mkdir()
            self.metrics_folder.mkdir()
            self.log_folder.mkdir(exist_ok=True)
        except OSError as error:
            raise TrunklineError(f"The data folder {self._data} cannot be used: {error.strerror}.") from error
        paths = [self._lock.path, self._data / FILE_NAME]
        self._supervisor = Supervisor(hold=[self._lock.fileno()], paths=paths)
        self._supervisor.hurry = self._signals.hurry
        return self._supervisor

    def _start_redis(self, supervisor: Supervisor) -> None:
        require_servers(self._settings)
        if self._settings.external_redis:
            self.redis_url = self._settings.redis.url
            self.broker_url = self._settings.broker.url or self.redis_url
            return
        port = self._redis_tcp_port
        log = self.log_folder / "redis.log"
        set_aside(log)
        server = EmbeddedRedis(
            self._data / "redis",
            fsync=self._settings.redis.fsync,
            tcp_port=choose_port(port, 0, "Redis") if port is not None else None,
            log=log,
            move=self._move_redis,
            notify=self._notify,
        )
        supervisor.keep_redis(server)
        self.redis_url = server.url
        self.broker_url = self._settings.broker.url or server.url

    def _start_children(self, supervisor: Supervisor) -> None:
        # A process that is killed leaves its temporary files behind: here they are found again.
        scratch = {"TMPDIR": str(self._scratch)}
        # All count into one folder; whoever serves it, they do not.
        scratch |= {"TRUNKLINE_METRICS_FOLDER": str(self.metrics_folder), "TRUNKLINE_METRICS_PORT": "0"}
        self._environment = commands.child_environment(self._settings, self.redis_url) | scratch
        for _ in range(self._wanted):
            self._add_worker(supervisor)
        self._maintenance.append(
            self._child("maintenance", commands.maintenance_worker(self._app, watched=self._with_flower))
        )
        self._beat.append(self._child("beat", commands.beat(self._app)))
        if self.flower_url is not None:
            port = int(self.flower_url.rsplit(":", 1)[1])
            self._flower.append(self._child("flower", commands.flower(port, self._app)))
        if self.rpc_url is not None:
            self._environment |= commands.rpc_ports(int(self.rpc_url.rsplit(":", 1)[1]))
            self._rpc.append(self._child("rpc", commands.rpc()))
        for child in (*self._maintenance, *self._beat, *self._flower, *self._rpc):
            supervisor.keep(child)

    def _add_worker(self, supervisor: Supervisor) -> None:
        number = len(self._workers) + 1
        worker = self._child(f"tx{number}", commands.transaction_worker(number, self._app, watched=self._with_flower))
        self._workers.append(worker)
        supervisor.keep(worker)

    def _child(self, name: str, command: list[str]) -> Child:
        environment = dict(self._environment)
        if self._settings.log.file is None:
            # The file that its output goes to as well: so that it rotates while the process runs.
            environment["TRUNKLINE_LOG_FILE"] = str(self.log_folder / f"{name}.log")
        return Child(name, command, log_folder=self.log_folder, environment=environment, cwd=commands.HOME)

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise TrunklineError("The instance does not run.")
        return self._supervisor
