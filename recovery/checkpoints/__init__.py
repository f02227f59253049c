"""Checkpoints: signed, hashed, complete or not there at all. Generic over what is stored."""

from recovery.checkpoints.errors import BadCheckpoint, CheckpointError, NoUsableCheckpoint, UnknownCheckpoint
from recovery.checkpoints.manifest import Facts, Manifest
from recovery.checkpoints.parts import Batch, Part, pack_records, unpack_records
from recovery.checkpoints.retention import CleanupReport
from recovery.checkpoints.store import CheckpointStore, Layer, next_base
from recovery.checkpoints.verification import Fault, Problem, VerificationReport
from recovery.checkpoints.writing import WriteOptions

__all__ = [
    "BadCheckpoint",
    "Batch",
    "CheckpointError",
    "CheckpointStore",
    "CleanupReport",
    "Facts",
    "Fault",
    "Layer",
    "Manifest",
    "NoUsableCheckpoint",
    "Part",
    "Problem",
    "UnknownCheckpoint",
    "VerificationReport",
    "WriteOptions",
    "next_base",
    "pack_records",
    "unpack_records",
]
