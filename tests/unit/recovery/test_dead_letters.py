"""The contract of the dead letters, on a fake Redis and a real one."""

from __future__ import annotations

import threading

import pytest
import redis

from recovery.dead_letters import (
    REDELIVERY_MEMORY,
    UNREADABLE,
    DeadLetter,
    DeadLetters,
    DeadLettersFullError,
    UnreadableLetterError,
    pack_letter,
    unpack_letter,
)


def a_letter(id: bytes = b"a", **changes: object) -> DeadLetter:
    values: dict[str, object] = {
        "id": id,
        "kind": "payments.charge_card",
        "payload": b"\x00\xff payload",
        "reason": "attempts used up: TimeoutError: süd",
        "attempts": 3,
        "first_at": 1_700_000_000.25,
        "last_at": 1_700_000_009.5,
    }
    return DeadLetter(**{**values, **changes})  # type: ignore[arg-type]


def test_a_letter_comes_back_as_it_was(any_redis: redis.Redis) -> None:
    letters = DeadLetters(any_redis, "shop")
    assert letters.add(a_letter(b"\x00\xff id")) is True
    assert letters.get(b"\x00\xff id") == a_letter(b"\x00\xff id")
    assert letters.get(b"other") is None
    assert any_redis.hget("shop:dead", b"\x00\xff id") == pack_letter(a_letter(b"\x00\xff id"))


def test_adding_again_changes_nothing(any_redis: redis.Redis) -> None:
    letters = DeadLetters(any_redis, "shop")
    letters.add(a_letter())
    assert letters.add(a_letter(reason="again", attempts=9)) is False
    assert letters.get(b"a") == a_letter()
    assert letters.count() == 1


def test_a_full_store_refuses_loudly_and_evicts_nothing(
    any_redis: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    letters = DeadLetters(any_redis, "shop", limit=2)
    letters.add(a_letter(b"a"))
    letters.add(a_letter(b"b"))
    with pytest.raises(DeadLettersFullError, match="2 dead letters"):
        letters.add(a_letter(b"c"))
    assert "refused c" in caplog.text
    assert [letter.id for letter in letters.list()] == [b"a", b"b"]
    assert letters.add(a_letter(b"a")) is False  # known already: no refusal
    letters.drop(b"a")
    assert letters.add(a_letter(b"c")) is True


def test_pages_cover_everything_once(any_redis: redis.Redis) -> None:
    letters = DeadLetters(any_redis, "shop", limit=1000)
    ids = [b"%04d" % number for number in range(700)]
    for id in reversed(ids):
        letters.add(a_letter(id))
    seen: list[bytes] = []
    while page := letters.list(after=seen[-1] if seen else b"", limit=64):
        assert len(page) <= 64
        seen += [letter.id for letter in page]
    assert seen == ids


def test_two_prefixes_do_not_meet(any_redis: redis.Redis) -> None:
    DeadLetters(any_redis, "one").add(a_letter())
    assert DeadLetters(any_redis, "two").list() == []
    assert DeadLetters(any_redis, "two").drop(b"a") is False
    assert DeadLetters(any_redis, "one").count() == 1


def test_popping_gives_a_letter_to_one_caller(any_redis: redis.Redis) -> None:
    letters = DeadLetters(any_redis, "shop")
    for number in range(50):
        letters.add(a_letter(b"%d" % number))
    got: list[bytes] = []

    def take_all() -> None:
        for number in range(50):
            letter = letters.pop_for_replay(b"%d" % number)
            if letter is not None:
                got.append(letter.id)

    threads = [threading.Thread(target=take_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(b"%d" % number for number in range(50))
    assert letters.count() == 0


def test_replay_keeps_the_letter_until_it_is_sent(any_redis: redis.Redis) -> None:
    letters = DeadLetters(any_redis, "shop")
    letters.add(a_letter())

    def broker_down(letter: DeadLetter) -> None:
        raise ConnectionError("broker away")

    with pytest.raises(ConnectionError):
        letters.replay(b"a", broker_down)
    assert letters.get(b"a") == a_letter()
    sent: list[DeadLetter] = []
    assert letters.replay(b"a", sent.append) is True
    assert sent == [a_letter()]
    assert letters.count() == 0
    assert letters.replay(b"a", sent.append) is False


def test_replay_leaves_a_letter_that_died_again_meanwhile(any_redis: redis.Redis) -> None:
    letters = DeadLetters(any_redis, "shop")
    letters.add(a_letter())

    def dies_at_once(letter: DeadLetter) -> None:
        letters.drop(letter.id)
        letters.add(a_letter(reason="died again", attempts=6))

    assert letters.replay(b"a", dies_at_once) is True
    assert letters.get(b"a") == a_letter(reason="died again", attempts=6)


def test_an_unreadable_record_is_shown_and_hides_no_other(
    any_redis: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    letters = DeadLetters(any_redis, "shop")
    letters.add(a_letter(b"a"))
    any_redis.hset("shop:dead", b"b", pack_letter(a_letter(b"b"))[:-3])
    letters.add(a_letter(b"c"))
    assert [(letter.id, letter.kind == UNREADABLE) for letter in letters.list()] == [
        (b"a", False),
        (b"b", True),
        (b"c", False),
    ]
    assert "Dead letter b" in caplog.text
    for read in (letters.get, letters.pop_for_replay):
        with pytest.raises(UnreadableLetterError):
            read(b"b")
    assert letters.count() == 3
    assert letters.drop(b"b") is True


def test_packing_is_reversible_and_checked() -> None:
    assert unpack_letter(pack_letter(a_letter())) == a_letter()
    for torn in (b"", b"\x00", pack_letter(a_letter())[:-1]):
        with pytest.raises(UnreadableLetterError):
            unpack_letter(torn)


def test_redeliveries_are_counted_by_id_and_forgotten(any_redis: redis.Redis) -> None:
    letters = DeadLetters(any_redis, "shop")
    assert [letters.count_redelivery(b"a") for _ in range(3)] == [1, 2, 3]
    assert letters.count_redelivery(b"b") == 1
    assert 0 < int(any_redis.ttl("shop:dead:redelivered:a")) <= REDELIVERY_MEMORY
    assert letters.count() == 0
