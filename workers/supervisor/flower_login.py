"""Whether the Flower that `up` starts has a login: what is relied on must not be changed by whoever passes by."""

from __future__ import annotations

from collections.abc import Mapping

from config.errors import ConfigurationError
from config.settings import Profile

BASIC, OAUTH = "FLOWER_BASIC_AUTH", "FLOWER_AUTH"


def require_login(profile: Profile, environment: Mapping[str, str]) -> None:
    """Raises ConfigurationError when Flower needs a login in `profile`, and `environment` gives it none."""
    if profile is Profile.DEV or environment.get(OAUTH, "").strip():
        return
    given = environment.get(BASIC, "").split(",")
    if all(_is_credential(one) for one in given):
        return
    raise ConfigurationError(
        f"In profile {profile.value} Flower needs a login: set {BASIC}=NAME:PASSWORD (several with commas between), "
        f"or {OAUTH} and its OAuth variables. Or do without Flower: --no-flower."
    )


def _is_credential(text: str) -> bool:
    name, _, password = text.strip().partition(":")
    return bool(name and password)
