"""What only a sandbox has: the profile `prod` refuses it."""

from __future__ import annotations

from config.errors import TrunklineError
from config.settings import Profile, Settings


class SandboxRefused(TrunklineError):
    """The profile is prod, where nobody changes the ledger but by transactions."""


def require_sandbox(settings: Settings, what: str) -> None:
    """Raises SandboxRefused in profile `prod`; `what` names what was asked for."""
    if settings.profile is Profile.PROD:
        raise SandboxRefused(f"The profile is prod: {what} is for sandboxes only.")
