"""Every setting of Trunkline, read from `TRUNKLINE_*` environment variables."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.addresses import broker_address, ledger_address
from config.errors import ConfigurationError
from config.instance import read_instance
from config.unknown import unknown_variables

logger = logging.getLogger(__name__)

DEFAULT_LEDGER = "main"

#: Units, for docs/configuration.md.
SECONDS: dict[str, JsonValue] = {"unit": "s"}
BYTES: dict[str, JsonValue] = {"unit": "bytes"}
LAMPORTS: dict[str, JsonValue] = {"unit": "lamports"}
TRANSACTIONS: dict[str, JsonValue] = {"unit": "transactions"}


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

    profile: Profile = Field(
        default=Profile.DEV, description="a sandbox (`dev`), or what is relied on; `prod` gives no lamports away"
    )
    data_dir: Path = Field(
        default=Path(".trunkline"), description="folder of the instance: embedded Redis, archive, keys, logs, its note"
    )
    ledger: str = Field(
        default=DEFAULT_LEDGER, pattern=r"^[a-zA-Z0-9_-]{1,64}$", description="which of several ledgers is worked on"
    )

    redis_url: str = Field(
        default="",
        description="the ledger's Redis: redis://:PASSWORD@HOST:PORT/DB, rediss:// (TLS) or unix:///PATH; empty: that"
        " of the instance in the data folder, which `up` starts",
    )
    broker_url: str = Field(
        default="",
        description="Celery's broker: a Redis as above, or RabbitMQ as amqp://USER:PASSWORD@HOST:PORT/VHOST (amqps://"
        " for TLS), a virtual host for each ledger; empty: the ledger's Redis",
    )
    fsync: Fsync = Field(
        default=Fsync.EVERYSEC,
        description="when the embedded Redis forces its file to disk: `always` before each answer",
    )
    redis_timeout: float = Field(
        default=2.0, gt=0, description="longest wait for one reply of Redis", json_schema_extra=SECONDS
    )

    batch_size: int = Field(
        default=64, ge=1, le=256, description="most transactions in one Celery message", json_schema_extra=TRANSACTIONS
    )
    intake_limit: int = Field(
        default=1_000_000,
        ge=1,
        description="unresolved transactions at which intake refuses more",
        json_schema_extra=TRANSACTIONS,
    )
    conflict_rounds: int = Field(
        default=8, ge=1, description="how often a transaction runs at once that lost its accounts to another one"
    )
    max_attempts: int = Field(
        default=3, ge=1, description="how often a transaction may end its worker before it is a dead letter"
    )
    dead_letter_limit: int = Field(default=100_000, ge=1, description="dead letters at which intake refuses")
    dead_letter_bytes: int = Field(
        default=256 * 1024 * 1024, ge=1, description="size of them at which it does", json_schema_extra=BYTES
    )
    longest_countdown: float = Field(
        default=5.0, gt=0, description="what must wait longer is parked in intake", json_schema_extra=SECONDS
    )

    slot_interval: float = Field(default=0.4, gt=0, description="from one block to the next", json_schema_extra=SECONDS)
    sweep_interval: float = Field(
        default=1.0, gt=0, description="between two looks for what lost its message", json_schema_extra=SECONDS
    )
    sweep_grace: float = Field(
        default=3.0,
        gt=0,
        description="how long a message may be under way before it counts as lost",
        json_schema_extra=SECONDS,
    )
    sweep_limit: int = Field(
        default=10_000, ge=1, description="most that one sweep enqueues again", json_schema_extra=TRANSACTIONS
    )
    checkpoint_interval: float = Field(
        default=60.0, gt=0, description="a checkpoint is due after this time", json_schema_extra=SECONDS
    )
    checkpoint_transactions: int = Field(
        default=1_000, ge=1, description="or after this many", json_schema_extra=TRANSACTIONS
    )
    checkpoints_kept: int = Field(default=5, ge=3, description="verified checkpoints kept; older ones are dropped")

    visibility_timeout: int = Field(
        default=30, ge=5, description="a message not acknowledged by then is delivered again", json_schema_extra=SECONDS
    )
    worker_concurrency: int = Field(default=1, ge=1, description="processes in one worker")
    crash_points: str = Field(default="", description="for tests: named points at which the process kills itself")

    log_level: LogLevel = Field(default=LogLevel.INFO, description="least level that is logged")
    log_format: LogFormat = Field(
        default=LogFormat.AUTO, description="lines for people or JSON; `auto`: for people in profile `dev`, else JSON"
    )
    log_file: Path | None = Field(
        default=None, description="a file for the logs of all processes, which may share it; unset: standard error"
    )
    log_file_bytes: int = Field(
        default=16 * 2**20, ge=4096, description="a log file beyond this is renamed to .1", json_schema_extra=BYTES
    )
    log_files_kept: int = Field(default=5, ge=1, le=1000, description="renamed log files that are kept")

    rpc_host: str = Field(default="127.0.0.1", description="address to listen on: this machine only, unless said")
    rpc_port: int = Field(default=8899, ge=0, le=65535, description="port of HTTP and websockets")
    rpc_ws_port: int = Field(
        default=8900, ge=0, le=65535, description="port of websockets, where web3.js looks for them: the next one"
    )
    rpc_cors_origins: str | None = Field(
        default=None, description="origins of web pages, comma-separated, or *; empty: none; unset: any in dev only"
    )
    rpc_allowed_hosts: str = Field(
        default="", description="names of the server beside localhost, comma-separated; .example.org: all below; *: any"
    )
    rpc_body_limit: int = Field(
        default=256 * 1024, ge=2048, description="longest request or websocket message", json_schema_extra=BYTES
    )
    rpc_batch_limit: int = Field(default=100, ge=1, description="most calls in one JSON-RPC batch")
    rpc_answer_limit: int = Field(
        default=64 * 1024 * 1024, ge=64 * 1024, description="most bytes of the answers to one request"
    )
    rpc_answers_limit: int = Field(
        default=128 * 1024 * 1024, ge=64 * 1024, description="most bytes of all answers that are made or sent"
    )
    rpc_in_flight: int = Field(default=1024, ge=1, description="most requests at work at the same time")
    rpc_rate_limit: float = Field(
        default=10_000.0, ge=0, description="calls of one address; 0: no limit", json_schema_extra={"unit": "calls/s"}
    )
    rpc_connections: int = Field(default=2048, ge=1, description="most websockets of one address")
    rpc_subscriptions: int = Field(default=1000, ge=1, description="most subscriptions of one websocket")
    rpc_write_limit: int = Field(
        default=1024 * 1024,
        ge=1024,
        description="unsent data at which a slow websocket is closed",
        json_schema_extra=BYTES,
    )
    rpc_read_timeout: float = Field(default=5.0, gt=0, description="longest read", json_schema_extra=SECONDS)
    rpc_write_timeout: float = Field(default=0.9, gt=0, description="longest send", json_schema_extra=SECONDS)
    rpc_commitment_wait: float = Field(
        default=3.0, gt=0, description="longest wait of a read for a change to be final", json_schema_extra=SECONDS
    )
    rpc_send_queue: int = Field(
        default=10_000, ge=1, description="most sends waiting to be accepted", json_schema_extra=TRANSACTIONS
    )
    rpc_send_window: float = Field(
        default=0.002, ge=0, description="sends of the same moment are accepted together", json_schema_extra=SECONDS
    )
    rpc_history: int = Field(default=200_000, ge=0, description="remembered by address", json_schema_extra=TRANSACTIONS)
    rpc_indexed_accounts: int = Field(default=2_000_000, ge=0, description="most accounts in the secondary indexes")
    rpc_listed_accounts: int = Field(default=200_000, ge=1, description="most accounts in one answer")
    rpc_stale_answers: int = Field(default=10_000, ge=0, description="answers kept for when Redis is away")
    rpc_airdrop_limit: int = Field(
        default=10_000 * 10**9, ge=0, description="most in one airdrop; 0: no airdrops", json_schema_extra=LAMPORTS
    )
    rpc_airdrops_per_minute: int = Field(default=600, ge=0, description="most airdrops of one address in a minute")

    archive_url: str = Field(
        default="",
        description="where blocks and checkpoints are kept: file:///FOLDER or s3://BUCKET/PREFIX?endpoint=URL&region=NAME;"
        " empty: the folder `archive` in the data folder",
    )
    identity: Path | None = Field(
        default=None,
        description="key file that signs blocks and checkpoints; unset: `identity.json` in the data folder",
    )
    trusted_keys: str = Field(
        default="", description="public keys (base58, comma-separated) whose signatures count beside the own one's"
    )
    execute_only: bool = Field(
        default=False,
        description="leave the archive to another host and execute on its signed word, whatever the data folder holds",
    )
    history_slots: int = Field(
        default=216_000,
        ge=300,
        description="slots whose blocks are kept: a day at 0.4 s",
        json_schema_extra={"unit": "slots"},
    )
    scrub_interval: float = Field(
        default=600.0, gt=0, description="between two readings of what the archive holds", json_schema_extra=SECONDS
    )
    unsealed_limit: int = Field(
        default=100_000,
        ge=1,
        description="outcomes not yet in the archive at which intake refuses",
        json_schema_extra=TRANSACTIONS,
    )
    genesis_lamports: int = Field(
        default=500_000_000 * 10**9,
        ge=10**9,
        lt=2**63,
        description="what the faucet of a new ledger holds",
        json_schema_extra=LAMPORTS,
    )

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
