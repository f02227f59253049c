"""What Solana's RPC tells of a transaction beyond its outcome; kept in the journal and in blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from solders.pubkey import Pubkey
from solders.transaction_metadata import TransactionMetadata

from banking.execution.account_access import AccountAccess
from banking.ledger.records import HEADER_SIZE, OWNER_AT

_TOKEN_PROGRAMS = frozenset(
    bytes(Pubkey.from_string(text))
    for text in ("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
)
# SPL Token's account layout: mint 0-32, owner 32-64, amount u64 64-72, state at 108. Token-2022 appends a type.
_TOKEN_ACCOUNT_BYTES = 165
_STATE_AT = 108
_LEAST_TOKEN_RECORD = HEADER_SIZE + _TOKEN_ACCOUNT_BYTES
_ACCOUNT_TYPE = 2
_NATIVE_LAMPORTS = 1


class TokenBalance(msgspec.Struct, array_like=True, frozen=True):
    """An SPL token account: its place in the message, and the raw amount (in the mint's smallest unit)."""

    index: int
    mint: bytes
    owner: bytes
    amount: int
    program: bytes


class InnerCall(msgspec.Struct, array_like=True, frozen=True):
    """An instruction that a program called: indexes into the accounts, as in Solana's compiled instructions."""

    program_index: int
    accounts: bytes
    data: bytes
    stack_height: int | None


class TransactionMeta(msgspec.Struct, array_like=True, frozen=True):
    """Balances (lamports) are in the order of the message's accounts, look-ups last (writable, then readonly)."""

    pre: list[int]
    post: list[int]
    pre_tokens: list[TokenBalance] = []
    post_tokens: list[TokenBalance] = []
    #: Place of the outer instruction, and the calls it made.
    inner: list[tuple[int, list[InnerCall]]] = []
    return_program: bytes = b""
    return_data: bytes = b""
    loaded_writable: list[bytes] = []
    loaded_readonly: list[bytes] = []
    #: As Solana counts them; None in what was executed before they were counted.
    loaded_bytes: int | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TransactionMeta)


def pack_transaction_meta(detail: TransactionMeta) -> bytes:
    """The bytes kept in the journal."""
    return _encoder.encode(detail)


def unpack_transaction_meta(packed: bytes) -> TransactionMeta | None:
    """Read a detail; None for the empty one of a refused transaction."""
    return _decoder.decode(packed) if packed else None


class Balances:
    """The balances of a transaction's accounts at one moment."""

    def __init__(self, keys: Sequence[bytes], view: Mapping[bytes, bytes], native: frozenset[bytes]) -> None:
        # For every transaction: one pass, and no detours.
        self._keys, self._native = keys, native
        self.lamports: list[int] = []
        self.tokens: list[TokenBalance] = []
        for key in keys:
            record = view.get(key, b"")
            if len(record) >= _LEAST_TOKEN_RECORD:
                # Most accounts hold no data at all.
                self._add_token(len(self.lamports), record)
            self.lamports.append(_NATIVE_LAMPORTS if key in native else int.from_bytes(record[:8], "little"))

    def after(self, view: Mapping[bytes, bytes], writes: Mapping[bytes, bytes]) -> Balances:
        """The balances now that `writes`, which are in `view` already, have changed some of these."""
        if not writes:
            return self
        if self.tokens or any(len(record) >= _LEAST_TOKEN_RECORD for record in writes.values()):
            return Balances(self._keys, view, self._native)
        changed = Balances((), view, self._native)
        changed._keys, changed.lamports = self._keys, self.lamports.copy()
        for place, key in enumerate(self._keys):
            if key in writes and key not in self._native:
                changed.lamports[place] = int.from_bytes(writes[key][:8], "little")
        return changed

    def _add_token(self, index: int, record: bytes) -> None:
        program = record[OWNER_AT:HEADER_SIZE]
        data = record[HEADER_SIZE:]
        if program not in _TOKEN_PROGRAMS or not data[_STATE_AT]:
            return
        if len(data) > _TOKEN_ACCOUNT_BYTES and data[_TOKEN_ACCOUNT_BYTES] != _ACCOUNT_TYPE:
            return
        amount = int.from_bytes(data[64:72], "little")
        self.tokens.append(TokenBalance(index, data[:32], data[32:64], amount, program))


def build_transaction_meta(
    access: AccountAccess,
    before: Balances,
    after: Balances,
    meta: TransactionMetadata | None = None,
    *,
    loaded: int | None = None,
) -> TransactionMeta:
    """Everything that is to be kept of an execution; without `meta` no program ran to its end."""
    if meta is None:
        return TransactionMeta(
            pre=before.lamports,
            post=after.lamports,
            pre_tokens=before.tokens,
            post_tokens=after.tokens,
            loaded_writable=list(access.loaded_writable),
            loaded_readonly=list(access.loaded_readonly),
            loaded_bytes=loaded,
        )
    returned = meta.return_data()
    data = bytes(returned.data)
    return TransactionMeta(
        pre=before.lamports,
        post=after.lamports,
        pre_tokens=before.tokens,
        post_tokens=after.tokens,
        inner=_inner_calls(meta),
        return_program=bytes(returned.program_id) if data else b"",
        return_data=data,
        loaded_writable=list(access.loaded_writable),
        loaded_readonly=list(access.loaded_readonly),
        loaded_bytes=loaded,
    )


def _inner_calls(meta: TransactionMetadata) -> list[tuple[int, list[InnerCall]]]:
    found = []
    for index, calls in enumerate(meta.inner_instructions()):
        if calls:
            compiled = ((call.instruction(), call.stack_height()) for call in calls)
            found.append(
                (
                    index,
                    [
                        InnerCall(one.program_id_index, bytes(one.accounts), bytes(one.data), height)
                        for one, height in compiled
                    ],
                )
            )
    return found
