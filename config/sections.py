"""The sections of the settings. A field is the variable TRUNKLINE_SECTION_FIELD unless `Variable` names another."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from config.addresses import broker_address, ledger_address, masked
from config.variables import Variable

DEFAULT_LEDGER = "main"

#: Units, for docs/configuration.md.
SECONDS: dict[str, JsonValue] = {"unit": "s"}
BYTES: dict[str, JsonValue] = {"unit": "bytes"}
LAMPORTS: dict[str, JsonValue] = {"unit": "lamports"}
TRANSACTIONS: dict[str, JsonValue] = {"unit": "transactions"}


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


class Section(BaseModel):
    """Settings that belong together. Immutable; a field that does not exist is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Fields for `repr` and `str`, passwords of URLs masked: settings end in logs and tracebacks."""
        for name, value in super().__repr_args__():
            yield name, masked(value) if isinstance(value, str) else value


class RedisSettings(Section):
    """The Redis of the ledger."""

    url: str = Field(
        default="",
        description="the ledger's Redis: redis://:PASSWORD@HOST:PORT/DB, rediss:// (TLS), unix:///PATH or"
        " sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/DB?master_name=NAME; empty: that of the instance in the data"
        " folder, which `up` starts",
    )
    timeout: float = Field(
        default=2.0, gt=0, description="longest wait for one reply of Redis", json_schema_extra=SECONDS
    )
    fsync: Annotated[Fsync, Variable("FSYNC")] = Field(
        default=Fsync.EVERYSEC,
        description="when the embedded Redis forces its file to disk: `always` before each answer",
    )

    @field_validator("url")
    @classmethod
    def _known_kind(cls, url: str) -> str:
        return ledger_address(url) if url else url


class BrokerSettings(Section):
    """Celery's broker."""

    url: str = Field(
        default="",
        description="Celery's broker: a Redis as above, or RabbitMQ as amqp://USER:PASSWORD@HOST:PORT/VHOST (amqps://"
        " for TLS), a virtual host for each ledger; empty: the ledger's Redis",
    )
    visibility_timeout: Annotated[int, Variable("VISIBILITY_TIMEOUT")] = Field(
        default=30, ge=5, description="a message not acknowledged by then is delivered again", json_schema_extra=SECONDS
    )

    @field_validator("url")
    @classmethod
    def _known_kind(cls, url: str) -> str:
        return broker_address(url) if url else url


class LedgerSettings(Section):
    """Which ledger is worked on, and what a new one holds."""

    name: Annotated[str, Variable("LEDGER")] = Field(
        default=DEFAULT_LEDGER, pattern=r"^[a-zA-Z0-9_-]{1,64}$", description="which of several ledgers is worked on"
    )
    genesis_lamports: Annotated[int, Variable("GENESIS_LAMPORTS")] = Field(
        default=500_000_000 * 10**9,
        ge=10**9,
        lt=2**63,
        description="what the faucet of a new ledger holds",
        json_schema_extra=LAMPORTS,
    )


class IntakeSettings(Section):
    """What is taken, how much of it, and in which messages."""

    limit: int = Field(
        default=1_000_000,
        ge=1,
        description="unresolved transactions at which intake refuses more",
        json_schema_extra=TRANSACTIONS,
    )
    unsealed_limit: Annotated[int, Variable("UNSEALED_LIMIT")] = Field(
        default=100_000,
        ge=1,
        description="outcomes not yet in the archive at which intake refuses",
        json_schema_extra=TRANSACTIONS,
    )
    dead_letter_limit: Annotated[int, Variable("DEAD_LETTER_LIMIT")] = Field(
        default=100_000, ge=1, description="dead letters at which intake refuses"
    )
    dead_letter_bytes: Annotated[int, Variable("DEAD_LETTER_BYTES")] = Field(
        default=256 * 1024 * 1024, ge=1, description="size of them at which it does", json_schema_extra=BYTES
    )
    batch_size: Annotated[int, Variable("BATCH_SIZE")] = Field(
        default=256, ge=1, le=256, description="most transactions in one Celery message", json_schema_extra=TRANSACTIONS
    )
    longest_countdown: Annotated[float, Variable("LONGEST_COUNTDOWN")] = Field(
        default=5.0, gt=0, description="what must wait longer is parked in intake", json_schema_extra=SECONDS
    )


class WorkerSettings(Section):
    """Processes that execute transactions."""

    concurrency: int = Field(default=1, ge=1, description="processes in one worker")
    conflict_rounds: Annotated[int, Variable("CONFLICT_ROUNDS")] = Field(
        default=8, ge=1, description="how often a transaction runs at once that lost its accounts to another one"
    )
    max_attempts: Annotated[int, Variable("MAX_ATTEMPTS")] = Field(
        default=3, ge=1, description="how often a transaction may end its worker before it is a dead letter"
    )
    execute_only: Annotated[bool, Variable("EXECUTE_ONLY")] = Field(
        default=False,
        description="leave the archive to another host and execute on its attestation, whatever the data folder holds",
    )
    crash_points: Annotated[str, Variable("CRASH_POINTS")] = Field(
        default="", description="for tests: named points at which the process kills itself"
    )


class SweepSettings(Section):
    """The search for transactions whose message was lost."""

    interval: float = Field(
        default=1.0, gt=0, description="between two looks for what lost its message", json_schema_extra=SECONDS
    )
    grace: float = Field(
        default=3.0,
        gt=0,
        description="how long a message may be under way before it counts as lost",
        json_schema_extra=SECONDS,
    )
    limit: int = Field(
        default=10_000, ge=1, description="most that one sweep enqueues again", json_schema_extra=TRANSACTIONS
    )


class BlockSettings(Section):
    """Blocks and the slots they close."""

    slot_interval: Annotated[float, Variable("SLOT_INTERVAL")] = Field(
        default=0.4, gt=0, description="from one block to the next", json_schema_extra=SECONDS
    )
    history_slots: Annotated[int, Variable("HISTORY_SLOTS")] = Field(
        default=216_000,
        ge=300,
        description="slots whose blocks are kept: a day at 0.4 s",
        json_schema_extra={"unit": "slots"},
    )


class CheckpointSettings(Section):
    """When a checkpoint is made, and how many are kept."""

    interval: Annotated[float, Variable("CHECKPOINT_INTERVAL")] = Field(
        default=60.0, gt=0, description="a checkpoint is due after this time", json_schema_extra=SECONDS
    )
    transactions: Annotated[int, Variable("CHECKPOINT_TRANSACTIONS")] = Field(
        default=1_000,
        ge=1,
        description="or after this many, but not before 20 times the seconds that the last one took",
        json_schema_extra=TRANSACTIONS,
    )
    kept: int = Field(default=5, ge=3, description="verified checkpoints kept; older ones are dropped")


class ArchiveSettings(Section):
    """Where blocks and checkpoints are kept, and whose signatures count."""

    url: str = Field(
        default="",
        description="where blocks and checkpoints are kept: file:///FOLDER or s3://BUCKET/PREFIX?endpoint=URL&region=NAME;"
        " empty: the folder `archive` in the data folder",
    )
    identity: Annotated[Path | None, Variable("IDENTITY")] = Field(
        default=None,
        description="key file that signs blocks and checkpoints; unset: `identity.json` in the data folder",
    )
    trusted_keys: Annotated[str, Variable("TRUSTED_KEYS")] = Field(
        default="", description="public keys (base58, comma-separated) whose signatures count beside the own one's"
    )
    scrub_interval: Annotated[float, Variable("SCRUB_INTERVAL")] = Field(
        default=600.0, gt=0, description="between two readings of what the archive holds", json_schema_extra=SECONDS
    )


class LogSettings(Section):
    """Logs of all processes."""

    level: LogLevel = Field(default=LogLevel.INFO, description="least level that is logged")
    format: LogFormat = Field(
        default=LogFormat.AUTO, description="lines for people or JSON; `auto`: for people in profile `dev`, else JSON"
    )
    file: Path | None = Field(
        default=None, description="a file for the logs of all processes, which may share it; unset: standard error"
    )
    file_bytes: int = Field(
        default=16 * 2**20, ge=4096, description="a log file beyond this is renamed to .1", json_schema_extra=BYTES
    )
    files_kept: int = Field(default=5, ge=1, le=1000, description="renamed log files that are kept")

    @field_validator("level", "format", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


class MetricsSettings(Section):
    """Metrics for Prometheus; see `config.metrics`."""

    host: str = Field(default="127.0.0.1", description="address to listen on for Prometheus: this machine only")
    port: int = Field(
        default=0, ge=0, le=65535, description="port of `/metrics`, of `up` or of a worker started alone; 0: none"
    )
    folder: Path | None = Field(
        default=None,
        description="folder in which the processes of an instance keep their counts together; `up` sets it, and a"
        " worker that was started alone with a port makes one",
    )


class RpcSettings(Section):
    """The RPC server."""

    host: str = Field(default="127.0.0.1", description="address to listen on: this machine only, unless said")
    port: int = Field(default=8899, ge=0, le=65535, description="port of HTTP and websockets")
    ws_port: int = Field(
        default=8900, ge=0, le=65535, description="port of websockets, where web3.js looks for them: the next one"
    )
    cors_origins: str | None = Field(
        default=None, description="origins of web pages, comma-separated, or *; empty: none; unset: any in dev only"
    )
    allowed_hosts: str = Field(
        default="", description="names of the server beside localhost, comma-separated; .example.org: all below; *: any"
    )
    body_limit: int = Field(
        default=256 * 1024, ge=2048, description="longest request or websocket message", json_schema_extra=BYTES
    )
    batch_limit: int = Field(default=100, ge=1, description="most calls in one JSON-RPC batch")
    answer_limit: int = Field(
        default=64 * 1024 * 1024, ge=64 * 1024, description="most bytes of the answers to one request"
    )
    answers_limit: int = Field(
        default=128 * 1024 * 1024, ge=64 * 1024, description="most bytes of all answers that are made or sent"
    )
    in_flight: int = Field(default=1024, ge=1, description="most requests at work at the same time")
    rate_limit: float = Field(
        default=10_000.0, ge=0, description="calls of one address; 0: no limit", json_schema_extra={"unit": "calls/s"}
    )
    connections: int = Field(default=2048, ge=1, description="most websockets of one address")
    subscriptions: int = Field(default=1000, ge=1, description="most subscriptions of one websocket")
    write_limit: int = Field(
        default=1024 * 1024,
        ge=1024,
        description="unsent data at which a slow websocket is closed",
        json_schema_extra=BYTES,
    )
    read_timeout: float = Field(default=5.0, gt=0, description="longest read", json_schema_extra=SECONDS)
    write_timeout: float = Field(default=0.9, gt=0, description="longest send", json_schema_extra=SECONDS)
    commitment_wait: float = Field(
        default=4.5, gt=0, description="longest wait of a read for a change to be final", json_schema_extra=SECONDS
    )
    send_queue: int = Field(
        default=10_000, ge=1, description="most sends waiting to be accepted", json_schema_extra=TRANSACTIONS
    )
    send_window: float = Field(
        default=0.002, ge=0, description="sends of the same moment are accepted together", json_schema_extra=SECONDS
    )
    history: int = Field(default=200_000, ge=0, description="remembered by address", json_schema_extra=TRANSACTIONS)
    indexed_accounts: int = Field(default=2_000_000, ge=0, description="most accounts in the secondary indexes")
    listed_accounts: int = Field(default=200_000, ge=1, description="most accounts in one answer")
    stale_answers: int = Field(default=10_000, ge=0, description="answers kept for when Redis is away")
    airdrop_limit: int = Field(
        default=10_000 * 10**9, ge=0, description="most in one airdrop; 0: no airdrops", json_schema_extra=LAMPORTS
    )
    airdrops_per_minute: int = Field(default=600, ge=0, description="most airdrops of one address in a minute")
