"""Tiny on-chain programs, assembled here: what they do can be read off in the outcome."""

from __future__ import annotations

import struct

#: Where the first account's data begins in what a program is given: count, then flags, key, owner, lamports, length.
DATA_AT = 8 + 8 + 32 + 32 + 8 + 8
_MASK = 0xFFFFFFFF


def _op(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhI", code, target | source << 4, offset, value & _MASK)


#: A call whose target the loader fills in, see `elf`.
_CALL = _op(0x85, source=1, value=-1)


def _set(register: int, value: int) -> bytes:
    return _op(0xB7, register, value=value)


def _copy(register: int, source: int) -> bytes:
    return _op(0xBF, register, source)


def _add(register: int, value: int) -> bytes:
    return _op(0x07, register, value=value)


_EXIT = _set(0, 0) + _op(0x95)


def telling(number: int) -> bytes:
    """A program that logs `number`."""
    return elf(b"".join(_set(register, number) for register in range(1, 6)) + _CALL + _EXIT, "sol_log_64_")


def peeking(count: int) -> bytes:
    """A program that returns the first `count` bytes of its first account's data."""
    return elf(_add(1, DATA_AT) + _set(2, count) + _CALL + _EXIT, "sol_set_return_data")


def counting(step: int) -> bytes:
    """A program that adds `step` to the u64 at the start of its first account's data, and returns it."""
    body = _op(0x79, 3, 1, DATA_AT) + _add(3, step) + _op(0x7B, 1, 3, DATA_AT)
    return elf(body + _add(1, DATA_AT) + _set(2, 8) + _CALL + _EXIT, "sol_set_return_data")


def calling() -> bytes:
    """A program that calls the program which is its first account, with nothing."""
    # On the stack: address of the program's key, then addresses and lengths of accounts and data, all nothing.
    body = _copy(2, 1) + _add(2, 16) + _op(0x7B, 10, 2, -40) + _set(3, 0)
    body += b"".join(_op(0x7B, 10, 3, place) for place in (-32, -24, -16, -8))
    body += _copy(1, 10) + _add(1, -40) + b"".join(_set(register, 0) for register in range(2, 6))
    return elf(body + _CALL + _EXIT, "sol_invoke_signed_c")


def failing(code: int) -> bytes:
    """A program that logs `code` and ends with it as its own error."""
    log = b"".join(_set(register, code) for register in range(1, 6)) + _CALL
    return elf(log + _set(0, code) + _op(0x95), "sol_log_64_")


def elf(code: bytes, syscall: str = "") -> bytes:
    """The smallest ELF file that the loader takes; every open call in `code` is a call of `syscall`."""
    calls = [at for at in range(0, len(code), 8) if code[at : at + 8] == _CALL]
    parts: list[bytes] = []
    places: list[int] = []
    at = 64 + 3 * 56
    names = b"\0.text\0.dynamic\0.dynsym\0.dynstr\0.rel.dyn\0.shstrtab\0"
    dynstr = b"\0" + syscall.encode() + b"\0"
    dynsym = bytes(24) + struct.pack("<IBBHQQ", 1, 0x10, 0, 0, 0, 0)
    sizes = [len(code), 6 * 16, len(dynsym), len(dynstr), 16 * len(calls), len(names)]
    for size in sizes:
        places.append(at)
        at = (at + size + 7) // 8 * 8
    text, dynamic, symbols, strings, relocations, _ = places
    table = [(17, relocations), (18, 16 * len(calls)), (19, 16), (6, symbols), (5, strings), (0, 0)]
    parts = [code, b"".join(struct.pack("<QQ", *row) for row in table), dynsym, dynstr]
    parts += [b"".join(struct.pack("<QQ", text + call, 1 << 32 | 10) for call in calls), names]
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    body = ident + struct.pack("<HHIQQQIHHHHHH", 3, 263, 1, text, 64, at, 0, 64, 56, 3, 64, 7, 6)
    for kind, flags, start, end in ((1, 5, text, dynamic), (1, 4, dynamic, at), (2, 4, dynamic, symbols)):
        body += struct.pack("<IIQQQQQQ", kind, flags, start, start, start, end - start, end - start, 4096)
    for place, part in zip(places, parts, strict=True):
        body = body.ljust(place, b"\0") + part
    body = body.ljust(at, b"\0") + bytes(64)
    kinds = [(1, 6, 0, 0), (6, 3, 4, 16), (11, 2, 4, 24), (3, 2, 0, 0), (9, 2, 3, 16), (3, 0, 0, 0)]
    labels = [b".text", b".dynamic", b".dynsym", b".dynstr", b".rel.dyn", b".shstrtab"]
    for place, size, (kind, flags, link, entry), label in zip(places, sizes, kinds, labels, strict=True):
        name = names.index(label + b"\0")
        body += struct.pack(
            "<IIQQQQIIQQ", name, kind, flags, place, place, size, link, 1 if kind == 11 else 0, 8, entry
        )
    return body
