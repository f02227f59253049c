"""Reading the parameters of a call, with Agave's words for what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from solders.hash import Hash, ParseHashError
from solders.pubkey import Pubkey
from solders.signature import Signature

from rpc.jsonrpc.errors import RpcError, invalid_params

U64_MAX = 2**64 - 1


class Commitment(StrEnum):
    """How settled an answer must be. Confirmed and finalized are one here: in the archive."""

    PROCESSED = "processed"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"

    @property
    def settled(self) -> bool:
        """True when the answer must survive the loss of all of Redis."""
        return self is not Commitment.PROCESSED


@dataclass(frozen=True, slots=True)
class DataSlice:
    """The part of an account's data that the client wants, in bytes."""

    offset: int
    length: int

    def cut(self, data: bytes) -> bytes:
        return data[self.offset : self.offset + self.length]


def kind_of(value: Any) -> str:
    """serde's words for a JSON value, as Agave's messages have them."""
    match value:
        case None:
            description = "null"
        case bool():
            description = f"boolean `{str(value).lower()}`"
        case int():
            # Python refuses to print what has thousands of digits.
            description = f"integer `{value}`" if value.bit_length() <= 256 else "integer"
        case float():
            description = f"floating point `{value}`"
        case str():
            description = f'string "{value[:64]}"'
        case list():
            description = "sequence"
        case _:
            description = "map"
    return description


def wrong_type(value: Any, expected: str) -> RpcError:
    return invalid_params(f"Invalid params: invalid type: {kind_of(value)}, expected {expected}.")


def to_pubkey(value: Any) -> Pubkey:
    """Raises -32602."""
    if not isinstance(value, str):
        raise wrong_type(value, "a string")
    # Base58 of 32 bytes is at most 44 characters; longer text is not decoded.
    if len(value) > 44:
        raise invalid_params("Invalid param: WrongSize")
    try:
        return Pubkey.from_string(value)
    except ValueError as error:
        wrong_size = "size" in str(error) or "length" in str(error).lower()
        raise invalid_params("Invalid param: WrongSize" if wrong_size else "Invalid param: Invalid") from None


def to_signature(value: Any) -> Signature:
    """Raises -32602."""
    if not isinstance(value, str):
        raise wrong_type(value, "a string")
    if len(value) > 88:
        raise invalid_params("Invalid param: WrongSize")
    try:
        return Signature.from_string(value)
    except ValueError:
        raise invalid_params("Invalid param: Invalid") from None


def to_hash(value: Any) -> Hash:
    """Raises -32602."""
    if not isinstance(value, str):
        raise wrong_type(value, "a string")
    try:
        return Hash.from_string(value[:64])
    except (ValueError, ParseHashError):
        raise invalid_params("Invalid param: Invalid") from None


def to_uint(value: Any, maximum: int = U64_MAX) -> int:
    """Raises -32602."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(value, "u64")
    if not 0 <= value <= maximum:
        raise invalid_params(f"Invalid params: invalid value: {kind_of(value)}, expected u64.")
    return value


#: What Agave 1 called them, and older clients still do.
_FORMER = {
    "recent": Commitment.PROCESSED,
    "single": Commitment.CONFIRMED,
    "singleGossip": Commitment.CONFIRMED,
    "root": Commitment.FINALIZED,
    "max": Commitment.FINALIZED,
}


def to_commitment(value: Any) -> Commitment:
    """Raises -32602."""
    if not isinstance(value, str):
        raise wrong_type(value, "variant identifier")
    try:
        return _FORMER.get(value) or Commitment(value)
    except ValueError:
        raise invalid_params(
            f"Invalid params: unknown variant `{value[:64]}`, expected one of `processed`, `confirmed`, `finalized`."
        ) from None


class Config:
    """A configuration object of a call; a field that is absent or null has its default."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def raw(self, name: str) -> Any:
        return self._fields.get(name)

    def commitment(self, default: Commitment = Commitment.FINALIZED, name: str = "commitment") -> Commitment:
        value = self._fields.get(name)
        return default if value is None else to_commitment(value)

    def uint(self, name: str, default: int | None = None, maximum: int = U64_MAX) -> int | None:
        value = self._fields.get(name)
        return default if value is None else to_uint(value, maximum)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._fields.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise wrong_type(value, "a boolean")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        value = self._fields.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise wrong_type(value, "variant identifier")
        if value not in choices:
            listed = ", ".join(f"`{choice}`" for choice in choices)
            raise invalid_params(f"Invalid params: unknown variant `{value[:64]}`, expected one of {listed}.")
        return value

    def text(self, name: str) -> str | None:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, str):
            raise wrong_type(value, "a string")
        return value

    def sub(self, name: str) -> Config | None:
        """A nested object."""
        value = self._fields.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise wrong_type(value, "a map")
        return Config(value)

    def items(self, name: str, maximum: int) -> list[Any]:
        """A nested list of at most `maximum` values; empty when absent."""
        value = self._fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise wrong_type(value, "a sequence")
        if len(value) > maximum:
            raise invalid_params(f"Too many inputs provided; max {maximum}")
        return value

    def min_context_slot(self) -> int | None:
        return self.uint("minContextSlot")

    def data_slice(self) -> DataSlice | None:
        part = self.sub("dataSlice")
        if part is None:
            return None
        offset, length = part.uint("offset"), part.uint("length")
        if offset is None or length is None:
            missing = "offset" if offset is None else "length"
            raise invalid_params(f"Invalid params: missing field `{missing}`.")
        return DataSlice(offset, length)


class Params:
    """The positional parameters of a call."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, place: int) -> Any:
        """The value at `place`, None when there is none."""
        return self._values[place] if place < len(self._values) else None

    def need(self, place: int) -> Any:
        if place >= len(self._values):
            raise invalid_params(f"`params` should have at least {place + 1} argument(s)")
        return self._values[place]

    def pubkey(self, place: int) -> Pubkey:
        return to_pubkey(self.need(place))

    def signature(self, place: int) -> Signature:
        return to_signature(self.need(place))

    def uint(self, place: int) -> int:
        return to_uint(self.need(place))

    def text(self, place: int) -> str:
        value = self.need(place)
        if not isinstance(value, str):
            raise wrong_type(value, "a string")
        return value

    def items(self, place: int, maximum: int) -> list[Any]:
        value = self.need(place)
        if not isinstance(value, list):
            raise wrong_type(value, "a sequence")
        if len(value) > maximum:
            raise invalid_params(f"Too many inputs provided; max {maximum}")
        return value

    def commitment(self, place: int) -> Commitment:
        """Of a method that takes nothing else in its configuration, where Agave insists on the member."""
        config = self.config(place)
        if self.get(place) is not None and not config:
            raise invalid_params("Invalid params: missing field `commitment`.")
        return config.commitment()

    def config(self, place: int) -> Config:
        value = self.get(place)
        if value is None:
            return Config({})
        if not isinstance(value, dict):
            raise wrong_type(value, "a map")
        return Config(value)
