"""The last good answers, for when Redis is away: true once, with the slot they were true at."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(order="sorted")
#: An answer larger than this (bytes) is not kept.
_MAX_ANSWER_BYTES = 64 * 1024
_MAX_TOTAL_BYTES = 32 * 1024 * 1024


class AnswerCache:
    """At most `limit` encoded answers of some megabytes together, the least recently used out first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    def remember(self, method: str, params: list[Any], answer: bytes) -> None:
        """Keep an encoded result."""
        if not self._limit or len(answer) > _MAX_ANSWER_BYTES:
            return
        question = _question(method, params)
        self._bytes += len(answer) - len(self._answers.get(question, b""))
        self._answers[question] = answer
        self._answers.move_to_end(question)
        while len(self._answers) > self._limit or self._bytes > _MAX_TOTAL_BYTES:
            self._bytes -= len(self._answers.popitem(last=False)[1])

    def recall(self, method: str, params: list[Any]) -> bytes | None:
        """The last good answer to the same question."""
        question = _question(method, params)
        answer = self._answers.get(question)
        if answer is not None:
            self._answers.move_to_end(question)
        return answer


def _question(method: str, params: list[Any]) -> bytes:
    return hashlib.sha256(method.encode() + b"\0" + _encoder.encode(params)).digest()
