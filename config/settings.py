"""Every setting of Trunkline, by sections, read from `TRUNKLINE_*` environment variables."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from config.addresses import kombu_address
from config.errors import ConfigurationError
from config.instance import read_instance
from config.secret_files import read_secret_files
from config.sections import (
    ArchiveSettings,
    BlockSettings,
    BrokerSettings,
    CheckpointSettings,
    IntakeSettings,
    LedgerSettings,
    LogSettings,
    MetricsSettings,
    RedisSettings,
    RpcSettings,
    SweepSettings,
    WorkerSettings,
)
from config.unknown import unknown_variables
from config.variables import PREFIX, Setting, VariablesSource, all_settings, nested

logger = logging.getLogger(__name__)


class Profile(StrEnum):
    """Where this runs; `prod` turns off what only a sandbox may offer (airdrops)."""

    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


class Settings(BaseSettings):
    """Settings of one Trunkline instance. Times are seconds, sizes are bytes, amounts are lamports.

    What is not given comes from the environment. A section that is given as a whole (`redis=RedisSettings(...)`)
    takes from the environment what it does not say itself.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    profile: Profile = Field(
        default=Profile.DEV, description="a sandbox (`dev`), or what is relied on; `prod` gives no lamports away"
    )
    data_dir: Path = Field(
        default=Path(".trunkline"), description="folder of the instance: embedded Redis, archive, keys, logs, its note"
    )
    redis: RedisSettings = RedisSettings()
    broker: BrokerSettings = BrokerSettings()
    ledger: LedgerSettings = LedgerSettings()
    intake: IntakeSettings = IntakeSettings()
    worker: WorkerSettings = WorkerSettings()
    blocks: BlockSettings = BlockSettings()
    sweep: SweepSettings = SweepSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    archive: ArchiveSettings = ArchiveSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    rpc: RpcSettings = RpcSettings()

    def __init__(self, **sections: Any) -> None:
        super().__init__(**{name: _as_given(value) for name, value in sections.items()})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments before the environment, and nothing else."""
        return init_settings, VariablesSource(settings_cls)

    @classmethod
    def from_variables(cls, **values: Any) -> Self:
        """Settings from values named as their variables, without the prefix and in lower case: `redis_url=...`.

        Raises TypeError for a name that is no setting.
        """
        return cls(**nested((_setting(name), value) for name, value in values.items()))

    def given(self) -> dict[str, Any]:
        """Variable to value of every setting that is not left to its default."""
        return {variable: one.read(self) for variable, one in all_settings(Settings).items() if one.is_set(self)}

    @property
    def external_redis(self) -> bool:
        """True when the operator named a Redis server instead of the embedded one."""
        return bool(self.redis.url)

    def ledger_url(self) -> str:
        """URL of the ledger's Redis: the one set, else that of the instance running in `data_dir`.

        Raises ConfigurationError when neither is known.
        """
        return self.redis.url or self._instance_url("redis_url")

    def broker_url(self) -> str:
        """URL of the broker: the one set, else the ledger's Redis.

        Raises ConfigurationError when neither is known.
        """
        return self.broker.url or self.redis.url or self._instance_url("broker_url")

    def celery_url(self) -> str:
        """The same as kombu spells it, which takes a Sentinel's other options apart from it."""
        return kombu_address(self.broker_url())

    def cors_origins(self) -> list[str]:
        """The origins whose web pages may use the RPC server; "*" stands for all of them."""
        if self.rpc.cors_origins is None:
            return ["*"] if self.profile is Profile.DEV else []
        return [origin.strip() for origin in self.rpc.cors_origins.split(",") if origin.strip()]

    def archive_location(self) -> str:
        """URL of the archive; a folder inside `data_dir` unless set."""
        return self.archive.url or (self.data_dir.resolve() / "archive").as_uri()

    def identity_path(self) -> Path:
        """The key file of this node; all nodes that share an archive share it, or trust each other's keys."""
        return self.archive.identity or self.data_dir.resolve() / "identity.json"

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
    if sentences := unknown_variables(all_settings(Settings), os.environ):
        raise ConfigurationError(" ".join(sentences))


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings, read once. Raises ConfigurationError naming the variable that is wrong.

    A `TRUNKLINE_` variable that is no setting is warned of; processes of our own refuse to start with one. Secrets that
    are in files become variables first (`config.secret_files`).
    """
    read_secret_files(os.environ)
    for sentence in unknown_variables(all_settings(Settings), os.environ):
        if sentence not in _warned:
            _warned.add(sentence)
            logger.warning("%s", sentence)
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None


def override_environment(**values: object) -> None:
    """Set `TRUNKLINE_*` variables for this process and its children, and forget the settings read so far.

    Raises TypeError for a name that is no setting.
    """
    for name, value in values.items():
        os.environ[_setting(name).variable] = str(value)
    get_settings.cache_clear()


def _setting(name: str) -> Setting:
    try:
        return all_settings(Settings)[f"{PREFIX}{name.upper()}"]
    except KeyError:
        raise TypeError(f"{name!r} is no setting") from None


def _as_given(value: Any) -> Any:
    """A section without its defaults, which must not hide what the environment says."""
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


def _explain(error: ValidationError) -> str:
    variables = {one.path: variable for variable, one in all_settings(Settings).items()}
    lines = []
    for part in error.errors():
        name = variables.get(tuple(map(str, part["loc"])), "")
        message = part["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {message}" if name else message)
    return "Wrong settings. " + "; ".join(lines)
