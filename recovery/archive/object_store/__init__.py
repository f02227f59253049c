"""The archive in an S3 bucket; a forked process reaches it through a relay process. `obstore` is imported on use."""

from recovery.archive.object_store.forked import ForkSafeArchive

__all__ = ["ForkSafeArchive"]
