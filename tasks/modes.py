"""The degradation modes of a ledger, as workers, producers and operators see them."""

from __future__ import annotations

from banking.ledger.keys import key_prefix
from config.settings import Settings
from recovery.degradation import DegradationManager
from tasks.policies import PIPELINE_OPERATIONS


def open_modes(settings: Settings) -> DegradationManager:
    """The manager of the settings' ledger, with the pipeline's components registered."""
    manager = DegradationManager(
        settings.ledger_url(),
        namespace=f"{key_prefix(settings.ledger.name)}:modes",
        retry_after=settings.intake.longest_countdown,
    )
    for component, operations in PIPELINE_OPERATIONS.items():
        manager.register(component, operations)
    return manager
