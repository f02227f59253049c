from __future__ import annotations

from recovery.archive import open_archive
from recovery.checkpoints import CheckpointStore, WriteOptions
from recovery.identity import Identity
from tests.support.checkpoints import MODES, accounts, contents, save


def test_checkpoints_live_on_an_object_store_as_they_do_in_a_folder(s3_url: str) -> None:
    store = CheckpointStore(open_archive(s3_url), Identity.generate(), options=WriteOptions(chunk_bytes=100))
    gone = save(store, 1)
    full = save(store, 2)
    incremental = save(store, 3, base=full.id)
    newest = save(store, 4)
    store.archive.delete(f"checkpoints/{newest.id}/part-00-000001.zst")
    assert store.newest_verified() == incremental
    layers = contents(store, incremental.id)
    assert layers == [*contents(store, full.id), dict(zip(layers[1], [accounts(3), list(MODES), []], strict=True))]
    store.quarantine(newest.id)
    save(store, 5)
    assert store.cleanup(keep=3).deleted == (gone.id,)
    assert len(store.ids()) == 3
    assert not list(store.archive.list(f"checkpoints/{gone.id}"))
