"""What a person sees when settings are right, wrong or missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigurationError
from config.instance import write_instance
from config.settings import Settings, get_settings


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
    settings = Settings(broker_url="amqp://host//", data_dir=tmp_path)
    with pytest.raises(ConfigurationError, match="TRUNKLINE_REDIS_URL"):
        settings.ledger_url()
    write_instance(tmp_path, {"redis_url": "unix:///x.sock", "broker_url": "amqp://host//", "pid": 1})
    assert settings.ledger_url() == "unix:///x.sock"
    assert settings.celery_url() == "amqp://host//"
