"""Solana's transaction errors in the JSON form that its RPC and every client use."""

from __future__ import annotations

import json
from typing import Any

from solders.transaction_status import (
    InstructionErrorBorshIO,
    InstructionErrorCustom,
    TransactionErrorDuplicateInstruction,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
    TransactionErrorProgramExecutionTemporarilyRestricted,
    TransactionErrorType,
)

BLOCKHASH_NOT_FOUND = '"BlockhashNotFound"'
ALREADY_PROCESSED = '"AlreadyProcessed"'
PROGRAM_ACCOUNT_NOT_FOUND = '"ProgramAccountNotFound"'
INVALID_PROGRAM_FOR_EXECUTION = '"InvalidProgramForExecution"'
MAX_LOADED_ACCOUNTS_DATA_SIZE_EXCEEDED = '"MaxLoadedAccountsDataSizeExceeded"'
UNBALANCED_TRANSACTION = '"UnbalancedTransaction"'
PROGRAM_FAILED_TO_COMPLETE = '{"InstructionError":[0,"ProgramFailedToComplete"]}'


def error_json(error: TransactionErrorType) -> str:
    """`error` as JSON text, such as `"AccountNotFound"` or `{"InstructionError":[0,{"Custom":1}]}`."""
    return json.dumps(_error_value(error), separators=(",", ":"))


def _error_value(error: TransactionErrorType) -> Any:
    match error:
        case TransactionErrorInstructionError():
            return {"InstructionError": [error.index, _instruction_error_value(error.err)]}
        case TransactionErrorDuplicateInstruction():
            return {"DuplicateInstruction": error.index}
        case TransactionErrorInsufficientFundsForRent():
            return {"InsufficientFundsForRent": {"account_index": error.account_index}}
        case TransactionErrorProgramExecutionTemporarilyRestricted():
            return {"ProgramExecutionTemporarilyRestricted": {"account_index": error.account_index}}
        case _:
            return _variant(error)


def _instruction_error_value(error: Any) -> Any:
    if isinstance(error, InstructionErrorCustom):
        return {"Custom": error.code}
    if isinstance(error, InstructionErrorBorshIO):
        return {"BorshIoError": error.value}
    return _variant(error)


def _variant(error: object) -> str:
    # solders prints a fieldless variant as `Type.Variant`.
    return str(error).rpartition(".")[2]
