"""Every byte counts: whatever is changed in a checkpoint, verification finds it and reading refuses it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import msgspec
import pytest
import zstandard

from recovery.archive import MemoryArchive
from recovery.checkpoints import BadCheckpoint, Batch, CheckpointStore, Manifest, Part, UnknownCheckpoint, manifest
from recovery.checkpoints.chunks import MAX_CHUNK_BYTES, ChunkEntry, batches, decompress
from recovery.identity import Identity, encode_key
from tests.support.checkpoints import DAMAGES, contents, damaged_copies, extensions, replace, save

Damage = Callable[[bytes], Iterator[bytes]]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_any_damage_anywhere_is_found(store: CheckpointStore, archive: MemoryArchive, damage: Damage) -> None:
    full = save(store, 1)
    incremental = save(store, 2, base=full.id)
    assert store.verify(incremental.id).ok
    tried = 0
    for what in damaged_copies(archive, damage):
        report = store.verify(incremental.id)
        assert not report.ok, what
        assert not report.unreadable, what
        tried += 1
    assert tried > 30
    assert store.verify(incremental.id).ok


def test_the_previous_checkpoint_is_used_after_damage(store: CheckpointStore, archive: MemoryArchive) -> None:
    full = save(store, 1)
    incremental = save(store, 2, base=full.id)
    for what in damaged_copies(archive, extensions):
        assert store.newest_verified() == (full if incremental.id in what else None), what
    assert store.newest_verified() == incremental


def test_damage_in_the_middle_of_a_large_part_is_found(archive: MemoryArchive, identity: Identity) -> None:
    """Large parts are read by several threads."""
    store = CheckpointStore(archive, identity)
    made = store.create(sequence=1, parts=[Part("big", [Batch(bytes([n]) * 2**20, 7) for n in range(40)])])
    assert len(made.parts[0].chunks) == 14
    assert sum(batch.records for batch in store.layers(made.id)[0].read("big")) == 280
    name = f"checkpoints/{made.id}/part-00-000009.zst"
    data = archive.get(name, 10**6)
    replace(archive, name, data[:-1] + bytes([data[-1] ^ 1]))
    report = store.verify(made.id)
    assert (len(report.problems), report.chunks) == (1, 13)
    assert name in report.explain()
    with pytest.raises(BadCheckpoint, match=name):
        list(store.layers(made.id)[0].read("big"))


def test_any_damage_is_refused_while_restoring(store: CheckpointStore, archive: MemoryArchive) -> None:
    made = save(store, 1)
    for damage in DAMAGES:
        for what in damaged_copies(archive, damage):
            with pytest.raises(BadCheckpoint):
                print(what, contents(store, made.id))


def test_a_missing_object_is_found(store: CheckpointStore, archive: MemoryArchive) -> None:
    made = save(store, 1)
    for name in list(archive.list()):
        data = archive.get(name, 10**6)
        archive.delete(name)
        if name.endswith(".manifest"):
            with pytest.raises(UnknownCheckpoint):
                store.verify(made.id)
        else:
            assert f"{name} is missing" in store.verify(made.id).explain()
        archive.put(name, data)
    assert store.verify(made.id).ok


def test_two_good_chunks_that_changed_places_are_found(store: CheckpointStore, archive: MemoryArchive) -> None:
    made = save(store, 1)
    names = [name for name in archive.list() if "/part-00-" in name]
    first, second = (archive.get(name, 10**6) for name in names[:2])
    replace(archive, names[0], second)
    replace(archive, names[1], first)
    assert len(store.verify(made.id).problems) == 2


def test_every_problem_is_told_not_just_the_first(store: CheckpointStore, archive: MemoryArchive) -> None:
    made = save(store, 1)
    chunks = [name for name in archive.list() if name.endswith(".zst")]
    for name in chunks:
        replace(archive, name, b"")
    assert len(store.verify(made.id).problems) == len(chunks)


def test_objects_that_belong_to_nothing_are_reported_without_spoiling_the_rest(
    store: CheckpointStore, archive: MemoryArchive
) -> None:
    made = save(store, 1)
    stray = f"checkpoints/{made.id}/part-07-000000.zst"
    archive.put(stray, b"stray")
    report = store.verify(made.id)
    assert report.ok
    assert report.unlisted == (stray,)


def test_a_manifest_under_another_checkpoints_name_is_refused(store: CheckpointStore, archive: MemoryArchive) -> None:
    first, second = save(store, 1), save(store, 2)
    name = "checkpoints/{}/checkpoint.manifest"
    replace(archive, name.format(second.id), archive.get(name.format(first.id), 10**6))
    assert "another checkpoint" in store.verify(second.id).explain()


class TestForgery:
    def rewrite(self, store: CheckpointStore, archive: MemoryArchive, forger: Identity) -> str:
        """Replace content, hashes and manifest consistently, as somebody who can write the archive would."""
        genuine = save(store, 1)
        forged = CheckpointStore(MemoryArchive(), forger)
        content = forged.create(sequence=1, parts=[])
        fake = msgspec.structs.replace(content, id=genuine.id)
        name = f"checkpoints/{genuine.id}/checkpoint.manifest"
        replace(archive, name, manifest.encode(fake, forger))
        return genuine.id

    def test_a_consistent_manifest_of_another_key_is_refused(
        self, store: CheckpointStore, archive: MemoryArchive
    ) -> None:
        checkpoint_id = self.rewrite(store, archive, Identity.generate())
        assert "not signed by a trusted key" in store.verify(checkpoint_id).explain()
        with pytest.raises(BadCheckpoint, match="trusted"):
            store.layers(checkpoint_id)

    def test_the_same_manifest_of_a_trusted_key_is_accepted(self, archive: MemoryArchive, identity: Identity) -> None:
        """The forgery above is refused for its key alone."""
        other = Identity.generate()
        store = CheckpointStore(archive, identity, trusted_keys=[other.public_key])
        assert store.verify(self.rewrite(store, archive, other)).ok

    def test_naming_the_trusted_key_as_signer_does_not_help(
        self, store: CheckpointStore, archive: MemoryArchive, identity: Identity
    ) -> None:
        genuine = save(store, 1)
        forged = manifest.encode(msgspec.structs.replace(genuine, facts={"slot": 9}), Identity.generate())
        replace(archive, f"checkpoints/{genuine.id}/checkpoint.manifest", forged)
        assert encode_key(identity.public_key).encode() in forged
        assert not store.verify(genuine.id).ok


def resealed(data: bytes, identity: Identity) -> bytes:
    """Any first two lines, with good signature and trailer."""
    signed = b"".join(line + b"\n" for line in data.split(b"\n")[:2])
    unsealed = signed + b"signature " + identity.sign(signed).hex().encode() + b"\n"
    return unsealed + b"end " + hashlib.sha256(unsealed).hexdigest().encode() + b"\n"


class TestManifestsThatAreSignedAndStillWrong:
    @pytest.fixture
    def genuine(self, store: CheckpointStore) -> Manifest:
        return save(store, 2, base=save(store, 1).id)

    def refusal(self, data: bytes, genuine: Manifest, identity: Identity) -> str:
        with pytest.raises(BadCheckpoint) as refused:
            manifest.decode(data, genuine.id, [identity.public_key])
        return str(refused.value)

    def test_resealing_alone_changes_nothing(self, genuine: Manifest, identity: Identity) -> None:
        data = manifest.encode(genuine, identity)
        assert resealed(data, identity) == data
        assert manifest.decode(data, genuine.id, [identity.public_key]) == genuine

    def test_another_spelling_of_the_signature(self, genuine: Manifest, identity: Identity) -> None:
        """One checkpoint has one manifest, byte for byte, whoever repairs the trailer."""
        signed, _, tail = manifest.encode(genuine, identity).partition(b"signature ")
        signature = tail.partition(b"\n")[0]
        for line in (b"signature " + signature.upper(), b"Signature " + signature):
            unsealed = signed + line + b"\n"
            data = unsealed + b"end " + hashlib.sha256(unsealed).hexdigest().encode() + b"\n"
            assert "signature line is malformed" in self.refusal(data, genuine, identity)

    @pytest.mark.parametrize("version", [b"0", b"2", b"11", b"", b"1 "])
    def test_other_versions(self, genuine: Manifest, identity: Identity, version: bytes) -> None:
        data = manifest.encode(genuine, identity).replace(b"checkpoint 1\n", b"checkpoint " + version + b"\n", 1)
        assert "format version" in self.refusal(resealed(data, identity), genuine, identity)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"depth":1', b'"depth":1 '),
            (b'"depth":1', b'"depth":1,"extra":1'),
            (b'"depth":1', b'"depth":3'),
            (b'"depth":1', b'"depth":0'),
            (b'"depth":1', b'"depth":true'),
            (b'"kind":"incremental"', b'"kind":"full"'),
            (b'"kind":"incremental"', b'"kind":"other"'),
            (b'"records":6', b'"records":7'),
            (b'"sequence":2', b'"sequence":-2'),
            (b'"name":"modes"', b'"name":"empty"'),
        ],
    )
    def test_other_content(self, genuine: Manifest, identity: Identity, old: bytes, new: bytes) -> None:
        data = manifest.encode(genuine, identity)
        assert old in data
        self.refusal(resealed(data.replace(old, new, 1), identity), genuine, identity)


def test_a_part_whose_whole_hash_differs_is_refused(
    store: CheckpointStore, archive: MemoryArchive, identity: Identity
) -> None:
    genuine = save(store, 1)
    parts = (msgspec.structs.replace(genuine.parts[0], sha256="0" * 64), *genuine.parts[1:])
    wrong = manifest.encode(msgspec.structs.replace(genuine, parts=parts), identity)
    replace(archive, f"checkpoints/{genuine.id}/checkpoint.manifest", wrong)
    assert "the SHA-256 of the part ledger/accounts differs" in store.verify(genuine.id).explain()
    with pytest.raises(BadCheckpoint, match="SHA-256"):
        contents(store, genuine.id)


class TestDecompression:
    def entry(self, stored: bytes, raw_bytes: int, records: int = 1) -> ChunkEntry:
        return ChunkEntry(records, raw_bytes, len(stored), hashlib.sha256(stored).hexdigest())

    def test_a_bomb_is_refused_before_it_is_unpacked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bomb = zstandard.ZstdCompressor().compress(bytes(4 * MAX_CHUNK_BYTES))
        assert len(bomb) < 10_000
        monkeypatch.setattr(zstandard, "ZstdDecompressor", None)  # unpacking would fail with a TypeError
        for claimed in (1000, 4 * MAX_CHUNK_BYTES):
            with pytest.raises(BadCheckpoint, match="would decompress to"):
                decompress(bomb, self.entry(bomb, claimed))

    def test_a_frame_that_hides_its_size_is_refused(self) -> None:
        hidden = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000))
        with pytest.raises(BadCheckpoint):
            decompress(hidden, self.entry(hidden, 1000))

    def test_frames_after_the_first_are_refused(self) -> None:
        frame = zstandard.ZstdCompressor().compress(bytes(1000))
        for tail in (frame, b"\0"):
            with pytest.raises(BadCheckpoint):
                decompress(frame + tail, self.entry(frame + tail, 1000))

    def test_text_that_is_no_frame_is_refused(self) -> None:
        with pytest.raises(BadCheckpoint):
            decompress(b"hello", self.entry(b"hello", 5))

    @pytest.mark.parametrize("raw", [b"\0", b"\0\0\0\5\0\0\0\1abc", b"\0\0\0\1\0\0\0\2x", b"\xff" * 9])
    def test_batches_that_do_not_fill_the_chunk_are_refused(self, raw: bytes) -> None:
        with pytest.raises(BadCheckpoint):
            batches(raw, self.entry(b"", len(raw)))
        assert batches(b"\0\0\0\1\0\0\0\1x", self.entry(b"", 9)) == [Batch(b"x", 1)]
