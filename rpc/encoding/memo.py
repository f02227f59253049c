"""Memos: the notes that wallets write into transactions."""

from __future__ import annotations

from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey

MEMO_V1 = Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo")
MEMO_V3 = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
MEMO_PROGRAMS = frozenset({bytes(MEMO_V1), bytes(MEMO_V3)})


def memo_of(message: Message | MessageV0 | MessageV1) -> str | None:
    """All memos of a transaction as Agave lists them: `[length] text; …`; None without any."""
    keys = message.account_keys
    memos = []
    for instruction in message.instructions:
        place = instruction.program_id_index
        if place < len(keys) and bytes(keys[place]) in MEMO_PROGRAMS:
            data = bytes(instruction.data)
            memos.append(f"[{len(data)}] {data.decode(errors='replace')}")
    return "; ".join(memos) or None
