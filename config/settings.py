"""Every setting of Trunkline, read from `TRUNKLINE_*` environment variables."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.addresses import broker_address, ledger_address
from config.errors import ConfigurationError
from config.instance import read_instance
from config.unknown import unknown_variables

logger = logging.getLogger(__name__)

DEFAULT_LEDGER = "main"


class Profile(StrEnum):
    """Where this runs; `prod` turns off what only a sandbox may offer (airdrops)."""

    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


class Fsync(StrEnum):
    """When Redis forces its append-only file to disk: after every write, or once a second."""

    ALWAYS = "always"
    EVERYSEC = "everysec"


class LogLevel(StrEnum):
    """The least level that is logged; `debug` follows every transaction."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Lines for people or JSON objects; `auto`: for people in profile dev, else JSON."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class Settings(BaseSettings):
    """Settings of one Trunkline instance. Times are seconds, sizes are bytes, amounts are lamports."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_", extra="ignore", frozen=True)

    profile: Profile = Profile.DEV
    data_dir: Path = Path(".trunkline")
    ledger: str = Field(default=DEFAULT_LEDGER, pattern=r"^[a-zA-Z0-9_-]{1,64}$")

    redis_url: str = ""
    broker_url: str = ""
    fsync: Fsync = Fsync.EVERYSEC
    redis_timeout: float = Field(default=2.0, gt=0, description="socket timeout of one Redis reply")

    batch_size: int = Field(default=64, ge=1, le=256, description="transactions in one Celery message")
    intake_limit: int = Field(default=1_000_000, ge=1, description="most unresolved transactions")
    conflict_rounds: int = Field(default=8, ge=1, description="executions of a conflicting transaction")
    max_attempts: int = Field(default=3, ge=1, description="redelivered runs before the dead letters")
    dead_letter_limit: int = Field(default=100_000, ge=1, description="dead letters at which intake refuses")
    dead_letter_bytes: int = Field(default=256 * 1024 * 1024, ge=1, description="bytes of them at which it does")
    longest_countdown: float = Field(default=5.0, gt=0, description="longer waits are parked in intake")

    slot_interval: float = Field(default=0.4, gt=0)
    sweep_interval: float = Field(default=1.0, gt=0)
    sweep_grace: float = Field(default=3.0, gt=0, description="a popped message may take this long")
    sweep_limit: int = Field(default=10_000, ge=1, description="most transactions one sweep re-enqueues")
    checkpoint_interval: float = Field(default=60.0, gt=0)
    checkpoint_transactions: int = Field(default=1_000, ge=1)
    checkpoints_kept: int = Field(default=5, ge=3)

    visibility_timeout: int = Field(default=30, ge=5, description="unacknowledged messages come back after")
    worker_concurrency: int = Field(default=1, ge=1, description="pool processes in one worker")
    crash_points: str = Field(default="", description="named points at which tests kill the process")

    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.AUTO
    log_file: Path | None = Field(default=None, description="one file for all processes [standard error]")
    log_file_bytes: int = Field(default=16 * 2**20, ge=4096, description="a log file beyond this is renamed to .1")
    log_files_kept: int = Field(default=5, ge=1, le=1000, description="renamed log files kept beside it")

    # The JSON-RPC and websocket server.
    rpc_host: str = Field(default="127.0.0.1", description="loopback unless said otherwise")
    rpc_port: int = Field(default=8899, ge=0, le=65535, description="HTTP and websocket")
    rpc_ws_port: int = Field(default=8900, ge=0, le=65535, description="websocket, where web3.js looks for it")
    rpc_cors_origins: str | None = Field(
        default=None, description="origins of web pages, comma-separated, or *; empty: none; unset: any in dev only"
    )
    rpc_allowed_hosts: str = Field(
        default="", description="names of the server beside localhost, comma-separated; .example.org: all below; *: any"
    )
    rpc_body_limit: int = Field(default=256 * 1024, ge=2048, description="most bytes of one request")
    rpc_batch_limit: int = Field(default=100, ge=1, description="most calls in one JSON-RPC batch")
    rpc_in_flight: int = Field(default=1024, ge=1, description="most requests at work at the same time")
    rpc_rate_limit: float = Field(default=10_000.0, ge=0, description="calls per second per address; 0: no limit")
    rpc_connections: int = Field(default=2048, ge=1, description="most websockets of one address")
    rpc_subscriptions: int = Field(default=1000, ge=1, description="most subscriptions of one websocket")
    rpc_write_limit: int = Field(default=1024 * 1024, ge=1024, description="most unsent bytes of a slow websocket")
    rpc_read_timeout: float = Field(default=5.0, gt=0, description="longest a read may take")
    rpc_write_timeout: float = Field(default=0.9, gt=0, description="longest a send may take")
    rpc_commitment_wait: float = Field(default=3.0, gt=0, description="longest wait for a change to be finalized")
    rpc_send_queue: int = Field(default=10_000, ge=1, description="most transactions waiting to be accepted")
    rpc_send_window: float = Field(default=0.002, ge=0, description="concurrent sends are grouped for this long")
    rpc_history: int = Field(default=200_000, ge=0, description="transactions remembered by address")
    rpc_indexed_accounts: int = Field(default=2_000_000, ge=0, description="most accounts in the secondary indexes")
    rpc_listed_accounts: int = Field(default=200_000, ge=1, description="most accounts in one answer")
    rpc_stale_answers: int = Field(default=10_000, ge=0, description="answers kept for when Redis is away")
    rpc_airdrop_limit: int = Field(default=10_000 * 10**9, ge=0, description="lamports in one airdrop; 0: off")
    rpc_airdrops_per_minute: int = Field(default=600, ge=0, description="per address")

    archive_url: str = ""
    identity: Path | None = Field(default=None, description="key file that signs blocks and checkpoints")
    trusted_keys: str = Field(default="", description="more public keys (base58) whose signatures count")
    history_slots: int = Field(default=216_000, ge=300, description="blocks kept for history: a day at 0.4 s")
    scrub_interval: float = Field(default=600.0, gt=0)
    unsealed_limit: int = Field(default=100_000, ge=1, description="most outcomes not yet in the archive")
    genesis_lamports: int = Field(default=500_000_000 * 10**9, ge=10**9, lt=2**63)

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("redis_url")
    @classmethod
    def _known_kind_of_redis(cls, url: str) -> str:
        return ledger_address(url) if url else url

    @field_validator("broker_url")
    @classmethod
    def _known_kind_of_broker(cls, url: str) -> str:
        return broker_address(url) if url else url

    @model_validator(mode="after")
    def _broker_defaults_to_redis(self) -> Self:
        if self.broker_url and not self.redis_url:
            raise ValueError("TRUNKLINE_BROKER_URL needs TRUNKLINE_REDIS_URL beside it: say where the ledger is")
        return self

    @property
    def external_redis(self) -> bool:
        """True when the operator named a Redis server instead of the embedded one."""
        return bool(self.redis_url)

    def ledger_url(self) -> str:
        """URL of the ledger's Redis: the one set, else that of the instance running in `data_dir`.

        Raises ConfigurationError when neither is known.
        """
        return self.redis_url or self._instance_url("redis_url")

    def celery_url(self) -> str:
        """URL of the broker as kombu spells it (`redis+socket://` for Unix sockets)."""
        url = self.broker_url or self.redis_url or self._instance_url("broker_url")
        return url.replace("unix://", "redis+socket://", 1)

    def cors_origins(self) -> list[str]:
        """The origins whose web pages may use the RPC server; "*" stands for all of them."""
        if self.rpc_cors_origins is None:
            return ["*"] if self.profile is Profile.DEV else []
        return [origin.strip() for origin in self.rpc_cors_origins.split(",") if origin.strip()]

    def archive_location(self) -> str:
        """URL of the archive; a folder inside `data_dir` unless set."""
        return self.archive_url or (self.data_dir.resolve() / "archive").as_uri()

    def identity_path(self) -> Path:
        """The key file of this node; all nodes that share an archive share it, or trust each other's keys."""
        return self.identity or self.data_dir.resolve() / "identity.json"

    def _instance_url(self, name: str) -> str:
        instance = read_instance(self.data_dir)
        if instance is None:
            raise ConfigurationError(
                f"No running instance found in {self.data_dir}. Start one with `trunkline up`, name its folder "
                "with --data DIR, or set TRUNKLINE_REDIS_URL."
            )
        return str(instance[name])


#: Told once in a process, however often the settings are read anew.
_warned: set[str] = set()


def require_known_variables() -> None:
    """Raises ConfigurationError when a `TRUNKLINE_` variable is set that nobody reads."""
    if sentences := unknown_variables(Settings.model_fields, os.environ):
        raise ConfigurationError(" ".join(sentences))


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings, read once. Raises ConfigurationError naming the variable that is wrong.

    A `TRUNKLINE_` variable that is no setting is warned of; processes of our own refuse to start with one.
    """
    for sentence in unknown_variables(Settings.model_fields, os.environ):
        if sentence not in _warned:
            _warned.add(sentence)
            logger.warning("%s", sentence)
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None


def override_environment(**values: object) -> None:
    """Set `TRUNKLINE_*` variables for this process and its children, and forget the settings read so far."""
    for name, value in values.items():
        os.environ[f"TRUNKLINE_{name.upper()}"] = str(value)
    get_settings.cache_clear()


def _explain(error: ValidationError) -> str:
    lines = []
    for part in error.errors():
        name = "_".join(str(piece) for piece in part["loc"]).upper()
        message = part["msg"].removeprefix("Value error, ")
        lines.append(f"TRUNKLINE_{name}: {message}" if name else message)
    return "Wrong settings. " + "; ".join(lines)
