"""Base64 and base58 of clients, refused in the words of the decoders that Agave uses."""

from __future__ import annotations

import base64
import binascii

import base58

_SYMBOLS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUES = {symbol: value for value, symbol in enumerate(_SYMBOLS)}
_BASE58 = frozenset("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
#: Bits of the last symbol that must be 0, by the number of symbols in the last group.
_SPARE_BITS = {2: 0b1111, 3: 0b11, 0: 0}


def decode_base64(text: str) -> bytes:
    """The bytes of padded base64. Raises ValueError, whose message is the decoder's."""
    try:
        decoded = binascii.a2b_base64(text)
    except (binascii.Error, ValueError):
        decoded = None
    # Only the canonical text of some bytes is the text of these bytes.
    if decoded is not None and binascii.b2a_base64(decoded, newline=False) == text.encode("ascii"):
        return decoded
    return _decode_with_care(text)


def _decode_with_care(text: str) -> bytes:
    """Look at every symbol, to say what is wrong."""
    raw = text.encode("utf-8", "surrogatepass")
    symbols = raw.rstrip(b"=")
    for place, symbol in enumerate(symbols):
        if symbol not in _VALUES:
            raise ValueError(f"InvalidByte({place}, {symbol})")
    group = len(symbols) % 4
    if group == 1:
        raise ValueError(f"InvalidLength({len(raw)})")
    if len(raw) - len(symbols) != -len(symbols) % 4:
        raise ValueError("InvalidPadding")
    if symbols and _VALUES[symbols[-1]] & _SPARE_BITS[group]:
        raise ValueError(f"InvalidLastSymbol({len(symbols) - 1}, {symbols[-1]})")
    return base64.b64decode(raw)


def decode_base58(text: str) -> bytes:
    """The bytes of base58. Raises ValueError, whose message is the decoder's."""
    for place, character in enumerate(text):
        if not character.isascii():
            raise ValueError(f"NonAsciiCharacter {{ index: {place} }}")
        if character not in _BASE58:
            raise ValueError(f"InvalidCharacter {{ character: {character!r}, index: {place} }}")
    return bytes(base58.b58decode(text))
