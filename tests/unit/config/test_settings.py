"""What a person sees when settings are right, wrong or missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from config.errors import ConfigurationError
from config.instance import write_instance
from config.sections import RpcSettings
from config.settings import Settings, get_settings, override_environment
from config.variables import all_settings


@pytest.fixture(autouse=True)
def _fresh_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("REDIS_URL", "BROKER_URL", "BATCH_SIZE"):
        monkeypatch.delenv(f"TRUNKLINE_{name}", raising=False)
    monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()


def test_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_BATCH_SIZE", "many")
    with pytest.raises(ConfigurationError, match="TRUNKLINE_BATCH_SIZE"):
        get_settings()


def test_without_instance_the_error_says_how_to_start_one() -> None:
    with pytest.raises(ConfigurationError, match="trunkline up"):
        get_settings().ledger_url()


def test_running_instance_is_found(tmp_path: Path) -> None:
    write_instance(tmp_path, {"redis_url": "unix:///x.sock", "broker_url": "unix:///x.sock", "pid": 1})
    assert get_settings().ledger_url() == "unix:///x.sock"
    assert get_settings().celery_url() == "redis+socket:///x.sock"
    assert (tmp_path / "instance.json").stat().st_mode & 0o077 == 0


def test_torn_instance_note_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "instance.json").write_text("{")
    with pytest.raises(ConfigurationError, match="not readable"):
        get_settings().ledger_url()


def test_a_broker_alone_goes_with_the_instances_ledger(tmp_path: Path) -> None:
    """As with `TRUNKLINE_BROKER_URL=amqp://... trunkline up`: the ledger stays in the embedded Redis."""
    settings = Settings.from_variables(broker_url="amqp://host//", data_dir=tmp_path)
    with pytest.raises(ConfigurationError, match="TRUNKLINE_REDIS_URL"):
        settings.ledger_url()
    write_instance(tmp_path, {"redis_url": "unix:///x.sock", "broker_url": "amqp://host//", "pid": 1})
    assert settings.ledger_url() == "unix:///x.sock"
    assert settings.celery_url() == "amqp://host//"


def test_a_wrong_value_of_a_section_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is not the section's and the field's name here."""
    monkeypatch.setenv("TRUNKLINE_SLOT_INTERVAL", "0")
    monkeypatch.setenv("TRUNKLINE_REDIS_URL", "http://host")
    with pytest.raises(ConfigurationError) as raised:
        get_settings()
    assert "TRUNKLINE_SLOT_INTERVAL: Input should be greater than 0" in str(raised.value)
    assert "TRUNKLINE_REDIS_URL: " in str(raised.value)


def test_variables_may_be_written_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("trunkline_batch_size", "7")
    assert get_settings().intake.batch_size == 7


def test_an_argument_beats_the_environment_and_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_RPC_HOST", "::1")
    monkeypatch.setenv("TRUNKLINE_RPC_PORT", "1")
    by_section = Settings(rpc=RpcSettings(port=2))
    by_variable = Settings.from_variables(rpc_port=2)
    assert by_section == by_variable
    assert (by_section.rpc.host, by_section.rpc.port) == ("::1", 2)


def test_what_was_given_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `up` hands it on: a default is not given, and the default's value is when it was said."""
    monkeypatch.setenv("TRUNKLINE_FSYNC", "everysec")
    given = Settings.from_variables(sweep_grace=2.0).given()
    assert given.items() >= {"TRUNKLINE_FSYNC": "everysec", "TRUNKLINE_SWEEP_GRACE": 2.0}.items()
    assert "TRUNKLINE_SLOT_INTERVAL" not in given


def test_a_name_that_is_no_setting_is_an_error() -> None:
    with pytest.raises(TypeError, match="'rpc_prot' is no setting"):
        Settings.from_variables(rpc_prot=1)
    with pytest.raises(TypeError, match="'rpc_prot' is no setting"):
        override_environment(rpc_prot=1)
    with pytest.raises(ValidationError, match="rpc_prot"):
        Settings(rpc_prot=1)


@pytest.mark.parametrize("section", [(), ("redis",), ("rpc",)])
def test_settings_cannot_be_changed(section: tuple[str, ...]) -> None:
    changed = Settings()
    place = getattr(changed, section[0]) if section else changed
    with pytest.raises(ValidationError, match="frozen"):
        setattr(place, next(iter(type(place).model_fields)), "x")


def test_each_field_has_a_variable_of_its_own() -> None:
    fields = [name for section in Settings.model_fields.values() for name in fields_of(section.annotation)]
    assert len(all_settings(Settings)) == len(fields) > 50


def fields_of(kind: object) -> list[str]:
    """The fields of a section; a setting that is in none is one."""
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else [""]


def test_settings_show_no_password() -> None:
    settings = Settings.from_variables(redis_url="redis://:secret@host:6379/0", broker_url="amqp://me:secret@host/v")
    for text in (repr(settings), str(settings), repr(settings.redis), str(settings.broker)):
        assert "secret" not in text
    assert "redis://:***@host:6379/0" in repr(settings)
    assert settings.redis.url == "redis://:secret@host:6379/0"
