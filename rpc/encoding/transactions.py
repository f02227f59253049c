"""Transactions and their results in the shapes of Solana's RPC."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import base58
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from banking.execution.reserved import RESERVED
from banking.execution.transaction_meta import InnerCall, TokenBalance, TransactionMeta, unpack_transaction_meta
from banking.ledger.journal import JournalEntry
from rpc.encoding.cost import cost_units
from rpc.encoding.parsed_instructions import Instruction, parse_instruction
from rpc.encoding.token_layout import token_amount
from rpc.jsonrpc.errors import unsupported_transaction_version

_RESERVED = frozenset(str(Pubkey(key)) for key in RESERVED)
ENCODINGS = ("base58", "base64", "json", "jsonParsed", "binary")


@dataclass(frozen=True)
class Executed:
    """A journal entry with its transaction; `decimals` are those of the mints it touched."""

    entry: JournalEntry
    parsed: VersionedTransaction

    @property
    def message(self) -> Message | MessageV0:
        message = self.parsed.message
        assert isinstance(message, Message | MessageV0)
        return message

    @property
    def versioned(self) -> bool:
        return isinstance(self.message, MessageV0)

    @cached_property
    def detail(self) -> TransactionMeta:
        return unpack_transaction_meta(self.entry.detail) or TransactionMeta([], [])

    @cached_property
    def keys(self) -> list[str]:
        """All accounts in the order that instructions count them."""
        loaded = (*self.detail.loaded_writable, *self.detail.loaded_readonly)
        return [*map(str, self.message.account_keys), *(str(Pubkey(key)) for key in loaded)]

    @cached_property
    def err(self) -> Any:
        """The error in its JSON form, None for a success."""
        return error_value(self.entry.outcome.err)

    @property
    def mints(self) -> set[bytes]:
        return {balance.mint for balance in (*self.detail.pre_tokens, *self.detail.post_tokens)}


def error_value(err: str | None) -> Any:
    """An error's JSON text as a value."""
    return None if err is None else json.loads(err)


def executed(entry: JournalEntry) -> Executed:
    """`entry` with its transaction parsed."""
    return Executed(entry, VersionedTransaction.from_bytes(entry.raw))


def encode_with_meta(
    item: Executed, encoding: str, most_version: int | None, decimals: Mapping[bytes, int]
) -> dict[str, Any]:
    """An `EncodedTransactionWithStatusMeta`. Raises -32015 when the client cannot read the version."""
    if item.versioned and most_version is None:
        raise unsupported_transaction_version(0)
    body: dict[str, Any] = {
        "transaction": encode_transaction(item, encoding),
        "meta": encode_meta(item, encoding, decimals),
    }
    if most_version is not None:
        body["version"] = 0 if item.versioned else "legacy"
    return body


def encode_transaction(item: Executed, encoding: str) -> Any:
    """The transaction itself in one of `ENCODINGS`."""
    match encoding:
        case "base64":
            return [base64.b64encode(item.entry.raw).decode(), "base64"]
        case "base58":
            return [base58.b58encode(item.entry.raw).decode(), "base58"]
        case "binary":
            return base58.b58encode(item.entry.raw).decode()
    signatures = [str(signature) for signature in item.parsed.signatures]
    message = _parsed_message(item) if encoding == "jsonParsed" else _plain_message(item)
    return {"signatures": signatures, "message": message}


def _plain_message(item: Executed) -> dict[str, Any]:
    message = item.message
    header = message.header
    body: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            _compiled(instruction.program_id_index, bytes(instruction.accounts), bytes(instruction.data), 1)
            for instruction in message.instructions
        ],
    }
    return body | _lookups(message)


def _parsed_message(item: Executed) -> dict[str, Any]:
    message, keys = item.message, item.keys
    body: dict[str, Any] = {
        "accountKeys": account_list(item),
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            _parsed(keys, instruction.program_id_index, bytes(instruction.accounts), bytes(instruction.data), 1)
            for instruction in message.instructions
        ],
    }
    return body | _lookups(message)


def _lookups(message: Message | MessageV0) -> dict[str, Any]:
    if not isinstance(message, MessageV0):
        return {}
    return {
        "addressTableLookups": [
            {
                "accountKey": str(lookup.account_key),
                "writableIndexes": list(lookup.writable_indexes),
                "readonlyIndexes": list(lookup.readonly_indexes),
            }
            for lookup in message.address_table_lookups
        ]
    }


def account_list(item: Executed) -> list[dict[str, Any]]:
    """The accounts with what the transaction may do to them."""
    message, header = item.message, item.message.header
    signers = header.num_required_signatures
    static = len(message.account_keys)
    loaded_writable = static + len(item.detail.loaded_writable)
    accounts = []
    for place, key in enumerate(item.keys):
        if place < signers:
            writable = place < signers - header.num_readonly_signed_accounts
        elif place < static:
            writable = place < static - header.num_readonly_unsigned_accounts
        else:
            writable = place < loaded_writable
        writable = writable and key not in _RESERVED
        source = "transaction" if place < static else "lookupTable"
        accounts.append({"pubkey": key, "signer": place < signers, "source": source, "writable": writable})
    return accounts


def _compiled(program: int, accounts: bytes, data: bytes, height: int | None) -> dict[str, Any]:
    return {
        "programIdIndex": program,
        "accounts": list(accounts),
        "data": base58.b58encode(data).decode(),
        "stackHeight": height,
    }


def _parsed(keys: Sequence[str], program: int, accounts: bytes, data: bytes, height: int | None) -> dict[str, Any]:
    instruction = Instruction(keys[program], [keys[place] for place in accounts if place < len(keys)], data)
    parsed = parse_instruction(instruction)
    if parsed is not None:
        return parsed | {"programId": instruction.program, "stackHeight": height}
    return {
        "programId": instruction.program,
        "accounts": instruction.accounts,
        "data": base58.b58encode(data).decode(),
        "stackHeight": height,
    }


def encode_meta(item: Executed, encoding: str, decimals: Mapping[bytes, int]) -> dict[str, Any]:
    """A `UiTransactionStatusMeta`."""
    detail, outcome, err = item.detail, item.entry.outcome, item.err
    body: dict[str, Any] = {
        "err": err,
        "status": {"Ok": None} if err is None else {"Err": err},
        "fee": outcome.fee,
        "preBalances": detail.pre,
        "postBalances": detail.post,
        "innerInstructions": [
            {"index": index, "instructions": _inner(item, calls, encoding)} for index, calls in detail.inner
        ],
        "logMessages": outcome.logs,
        "preTokenBalances": token_balances(detail.pre_tokens, decimals),
        "postTokenBalances": token_balances(detail.post_tokens, decimals),
        "rewards": [],
        "computeUnitsConsumed": outcome.units,
    }
    if detail.loaded_bytes is not None:
        body["costUnits"] = cost_units(item.message, outcome.units, detail.loaded_bytes)
    if encoding != "jsonParsed":
        body["loadedAddresses"] = loaded_addresses(detail)
    if (returned := return_data(detail)) is not None:
        body["returnData"] = returned
    return body


def loaded_addresses(detail: TransactionMeta) -> dict[str, list[str]]:
    """The accounts that came from lookup tables."""
    return {
        "writable": [str(Pubkey(key)) for key in detail.loaded_writable],
        "readonly": [str(Pubkey(key)) for key in detail.loaded_readonly],
    }


def _inner(item: Executed, calls: Sequence[InnerCall], encoding: str) -> list[dict[str, Any]]:
    if encoding == "jsonParsed":
        return _parsed_calls(calls, item.keys)
    return [
        _compiled(instruction.program_index, instruction.accounts, instruction.data, instruction.stack_height)
        for instruction in calls
    ]


def _parsed_calls(calls: Sequence[InnerCall], keys: Sequence[str]) -> list[dict[str, Any]]:
    return [
        _parsed(keys, instruction.program_index, instruction.accounts, instruction.data, instruction.stack_height)
        for instruction in calls
    ]


def inner_instructions(detail: TransactionMeta, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The inner instructions of a simulation, parsed; `keys` are the message's own accounts."""
    addresses = loaded_addresses(detail)
    known = [*keys, *addresses["writable"], *addresses["readonly"]]
    return [{"index": index, "instructions": _parsed_calls(calls, known)} for index, calls in detail.inner]


def return_data(detail: TransactionMeta) -> dict[str, Any] | None:
    """The return data of a program, None when there is none."""
    if not detail.return_data:
        return None
    return {
        "programId": str(Pubkey(detail.return_program)),
        "data": [base64.b64encode(detail.return_data).decode(), "base64"],
    }


def token_balances(balances: Sequence[TokenBalance], decimals: Mapping[bytes, int]) -> list[dict[str, Any]]:
    """`UiTransactionTokenBalance`s; those of a mint that is gone are left out: its decimals are unknown."""
    return [
        {
            "accountIndex": balance.index,
            "mint": str(Pubkey(balance.mint)),
            "owner": str(Pubkey(balance.owner)),
            "programId": str(Pubkey(balance.program)),
            "uiTokenAmount": token_amount(balance.amount, decimals[balance.mint]),
        }
        for balance in balances
        if balance.mint in decimals
    ]
