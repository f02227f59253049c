"""What can go wrong with checkpoints."""

from __future__ import annotations

from recovery.errors import RecoveryError


class CheckpointError(RecoveryError):
    """Base of every checkpoint error."""


class UnknownCheckpoint(CheckpointError):
    """No checkpoint of this id."""


class BadCheckpoint(CheckpointError):
    """The checkpoint is not what its writer signed: damaged, incomplete, forged, or of an unknown version."""


class NoUsableCheckpoint(CheckpointError):
    """There are checkpoints, but none of them could be verified and restored."""


class RestoreRefused(CheckpointError):
    """A component read good bytes that make no sense to it; the checkpoint cannot be used."""
