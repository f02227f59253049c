"""What every archive does, whatever it is kept in. Subclasses bring the `archive` fixture."""

from __future__ import annotations

import pytest

from recovery.archive import AlreadyExists, Archive, InvalidName, Mismatch, NotFound, TooLarge, get_each, put_same

NAMES = ("a-b/x.blk", "a/b/z.blk", "a/x.blk", "a/y.blk", "b/x.blk", "top.blk")
BAD_NAMES = (
    "", "x", "../x.blk", "a/../x.blk", "/x.blk", "a//x.blk", "A/x.blk", "a/.x.blk", ".tmp/x.blk", "a.b/x.blk",
    "a/x.", "a/x..blk", "a/x.blk\n", "a/x.blk\0", "a\\x.blk", "a/x.blk/", "ä/x.blk",
    "a" * 300 + ".blk", "a/" * 9 + "x.blk",
)  # fmt: skip


class ArchiveContract:
    def test_gives_back_what_was_put(self, archive: Archive) -> None:
        archive.put("a/x.blk", b"\0hello")
        archive.put("empty.blk", b"")
        assert archive.get("a/x.blk", 6) == b"\0hello"
        assert archive.get("empty.blk", 0) == b""
        assert archive.exists("a/x.blk")
        archive.confirm("a/x.blk")

    def test_a_name_is_created_once(self, archive: Archive) -> None:
        archive.put("a/x.blk", b"first")
        with pytest.raises(AlreadyExists):
            archive.put("a/x.blk", b"second")
        assert archive.get("a/x.blk", 100) == b"first"

    def test_put_same_accepts_its_own_bytes_and_no_others(self, archive: Archive) -> None:
        assert put_same(archive, "a/x.blk", b"first")
        assert not put_same(archive, "a/x.blk", b"first")
        with pytest.raises(Mismatch):
            put_same(archive, "a/x.blk", b"other")

    def test_a_missing_object_is_said_to_be_missing(self, archive: Archive) -> None:
        archive.put("a/x.blk", b"")
        for name in ("a/y.blk", "b/c/x.blk"):
            assert not archive.exists(name)
            for read in (lambda name=name: archive.get(name, 10), lambda name=name: archive.confirm(name)):
                with pytest.raises(NotFound):
                    read()
            with pytest.raises(NotFound):
                archive.set_aside(name)

    def test_an_object_above_the_cap_is_not_read(self, archive: Archive) -> None:
        archive.put("a/x.blk", b"12345")
        assert archive.get("a/x.blk", 5) == b"12345"
        with pytest.raises(TooLarge):
            archive.get("a/x.blk", 4)

    def test_many_are_read_in_their_order_up_to_the_first_that_is_wrong(self, archive: Archive) -> None:
        there = [f"many/x{number}.blk" for number in range(20)]
        for number, name in enumerate(there):
            archive.put(name, b"%d" % number)
        assert [*get_each(archive, reversed(there), 2)] == [b"%d" % number for number in reversed(range(20))]
        assert [*get_each(archive, [], 2)] == []
        for wrong, error in (("many/gone.blk", NotFound), (there[12], TooLarge)):
            found = get_each(archive, [*there[:5], wrong, *there[5:8]], 1)
            assert [next(found) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
            with pytest.raises(error):
                next(found)

    def test_lists_in_the_order_of_names(self, archive: Archive) -> None:
        for name in reversed(NAMES):
            archive.put(name, b"")
        assert list(archive.list()) == sorted(NAMES)
        assert list(archive.list("a")) == ["a/b/z.blk", "a/x.blk", "a/y.blk"]
        assert list(archive.list("nothing")) == []
        assert archive.folders() == ["a", "a-b", "b"]
        assert archive.folders("a") == ["b"]
        assert archive.folders("nothing") == []

    def test_a_listing_can_start_after_any_name(self, archive: Archive) -> None:
        for name in NAMES:
            archive.put(name, b"")
        for start in (*NAMES, "a/b", "a-a", "a/xx.blk", "zz", ""):
            expected = [name for name in sorted(NAMES) if name > start]
            assert list(archive.list("", start_after=start)) == expected, start
        assert list(archive.list("a", start_after="a/x.blk")) == ["a/y.blk"]

    def test_deletes_and_forgets(self, archive: Archive) -> None:
        archive.put("a/b/x.blk", b"1")
        archive.delete("a/b/x.blk")
        archive.delete("a/b/x.blk")
        assert not archive.exists("a/b/x.blk")
        assert list(archive.list()) == []
        assert archive.folders() == []
        archive.put("a/b/x.blk", b"2")
        assert archive.get("a/b/x.blk", 1) == b"2"

    def test_bad_objects_are_kept_aside_and_never_overwritten(self, archive: Archive) -> None:
        asides = []
        for content in (b"1", b"2", b"3"):
            archive.put("a/x.blk", content)
            asides.append(archive.set_aside("a/x.blk"))
            assert not archive.exists("a/x.blk")
        assert [archive.get(name, 1) for name in asides] == [b"1", b"2", b"3"]
        assert list(archive.list("quarantine")) == sorted(asides)
        assert list(archive.list()) == []
        assert archive.folders() == []

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_names_outside_the_rules_are_refused(self, archive: Archive, name: str) -> None:
        for call in (
            lambda: archive.put(name, b""),
            lambda: archive.get(name, 1),
            lambda: archive.exists(name),
            lambda: archive.delete(name),
            lambda: archive.confirm(name),
            lambda: archive.set_aside(name),
        ):
            with pytest.raises(InvalidName):
                call()

    @pytest.mark.parametrize("folder", ["..", "/", "a/", "A", "a.b", ".tmp", "a\0"])
    def test_folders_outside_the_rules_are_refused(self, archive: Archive, folder: str) -> None:
        with pytest.raises(InvalidName):
            list(archive.list(folder))
        with pytest.raises(InvalidName):
            archive.folders(folder)

    def test_nothing_is_put_into_the_quarantine_directly(self, archive: Archive) -> None:
        with pytest.raises(InvalidName):
            archive.put("quarantine/x.blk", b"")
