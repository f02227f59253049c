"""Checkpoints of any component: signed, hashed, complete or absent."""

from recovery.checkpoints.components import Component, ComponentLayer
from recovery.checkpoints.errors import (
    BadCheckpoint,
    CheckpointError,
    NoUsableCheckpoint,
    RestoreRefused,
    UnknownCheckpoint,
)
from recovery.checkpoints.manifest import Facts, Manifest
from recovery.checkpoints.parts import Batch, Part, pack_records, unpack_records
from recovery.checkpoints.retention import CleanupReport
from recovery.checkpoints.store import CheckpointStore, CheckpointSummary, Layer, next_base
from recovery.checkpoints.verification import Fault, Problem, VerificationReport
from recovery.checkpoints.writing import WriteOptions

__all__ = [
    "BadCheckpoint",
    "Batch",
    "CheckpointError",
    "CheckpointStore",
    "CheckpointSummary",
    "CleanupReport",
    "Component",
    "ComponentLayer",
    "Facts",
    "Fault",
    "Layer",
    "Manifest",
    "NoUsableCheckpoint",
    "Part",
    "Problem",
    "RestoreRefused",
    "UnknownCheckpoint",
    "VerificationReport",
    "WriteOptions",
    "next_base",
    "pack_records",
    "unpack_records",
]
