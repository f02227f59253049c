"""In staging and prod `up` starts no Flower that everybody may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from config.errors import ConfigurationError
from config.settings import Profile, get_settings
from workers.cli.commands.up import up
from workers.supervisor.flower_login import require_login


@pytest.mark.parametrize("profile", [Profile.STAGING, Profile.PROD])
@pytest.mark.parametrize("given", ["", " ", "ops", "ops:", ":secret", "ops:secret,guest:"])
def test_no_login_or_half_a_one_is_refused(profile: Profile, given: str) -> None:
    with pytest.raises(ConfigurationError, match="FLOWER_BASIC_AUTH=NAME:PASSWORD"):
        require_login(profile, {"FLOWER_BASIC_AUTH": given})


@pytest.mark.parametrize(
    "variables",
    [{"FLOWER_BASIC_AUTH": "ops:secret"}, {"FLOWER_BASIC_AUTH": "a:b,c:d"}, {"FLOWER_AUTH": ".*@example.org"}],
)
def test_a_login_is_enough(variables: dict[str, str]) -> None:
    require_login(Profile.PROD, variables)


def test_a_sandbox_needs_none() -> None:
    require_login(Profile.DEV, {})


def test_up_itself_refuses_before_anything_starts(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_PROFILE", "staging")
    monkeypatch.delenv("FLOWER_BASIC_AUTH", raising=False)
    monkeypatch.delenv("FLOWER_AUTH", raising=False)
    get_settings.cache_clear()
    ran = CliRunner().invoke(up, [])
    assert isinstance(ran.exception, ConfigurationError)
    assert "--no-flower" in str(ran.exception)
    assert not plain.exists()
