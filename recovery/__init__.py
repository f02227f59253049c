"""What keeps things alive: retry, circuit breaker, degradation, checkpoints, dead letters. No Solana in sight."""

from recovery.archive import Archive, open_archive
from recovery.checkpoints import Checkpoint, CheckpointStore, Component, Part
from recovery.identity import Identity
from recovery.manager import RecoveryManager, RecoveryStatus

__all__ = [
    "Archive",
    "Checkpoint",
    "CheckpointStore",
    "Component",
    "Identity",
    "Part",
    "RecoveryManager",
    "RecoveryStatus",
    "open_archive",
]
