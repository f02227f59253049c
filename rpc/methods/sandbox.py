"""What only a sandbox has, under the names that Surfpool gave it: accounts set by hand, time travel, profiles."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from solders.hash import Hash
from solders.pubkey import Pubkey

from banking.admin.set_account import AccountUpdate, SetRefused, check_authority, set_account
from banking.admin.warp import WarpRefused
from banking.errors import ArchiveBehind
from banking.execution.profile import by_instruction
from banking.execution.sandbox_program import SANDBOX_PROGRAM
from banking.intake.reasons import Reason
from banking.ledger import reads
from banking.transaction import VerifiedTransaction
from config.settings import Profile
from recovery.archive import ArchiveUnavailable
from recovery.degradation import OperationType
from rpc.encoding.error_text import transaction_error_text
from rpc.encoding.token_layout import TOKEN_PROGRAMS, is_mint
from rpc.encoding.transactions import error_value
from rpc.jsonrpc.errors import INTERNAL_ERROR, RpcError, invalid_params, invalid_request, node_unhealthy
from rpc.jsonrpc.params import Config, to_pubkey
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import with_context
from rpc.methods.simulation import run
from rpc.methods.status import SLOTS_IN_EPOCH, epoch_info
from rpc.sandbox.faucet import Faucet
from rpc.sandbox.token_account import associated_address, updated_token_account
from rpc.sending.transaction_input import decode_text, unverified, verified
from tasks.receipts import Verdict

#: Seconds between two looks for outcomes, and for all that one call writes; and for a journey through time.
_LOOK_SECONDS = 0.005
_WRITE_SECONDS, _TRAVEL_SECONDS = 30.0, 900.0


@method("surfnet_setAccount", OperationType.WRITE, timeout=_WRITE_SECONDS)
async def surfnet_set_account(call: Call) -> Any:
    faucet = _sandbox(call, "surfnet_setAccount")
    key, config = call.params.pubkey(0), call.params.config(1)
    update = AccountUpdate(
        lamports=config.uint("lamports"),
        owner=_key(config, "owner"),
        executable=config.flag("executable") if "executable" in config else None,
        rent_epoch=config.uint("rentEpoch"),
        data=_from_hex(config.text("data")),
    )
    record, allowed = await _records(call, bytes(key), bytes(SANDBOX_PROGRAM))
    return with_context(None, await _write(call, faucet, allowed, key, update.apply(record)))


@method("surfnet_setTokenAccount", OperationType.WRITE, timeout=_WRITE_SECONDS)
async def surfnet_set_token_account(call: Call) -> Any:
    faucet = _sandbox(call, "surfnet_setTokenAccount")
    owner, mint, config = call.params.pubkey(0), call.params.pubkey(1), call.params.config(2)
    given = call.params.get(3)
    mint_record, allowed = await _records(call, bytes(mint), bytes(SANDBOX_PROGRAM))
    if not is_mint(mint_record):
        raise invalid_params(f"Invalid param: {mint} is no mint of this ledger")
    program = Pubkey(mint_record[17:49])
    assert bytes(program) in TOKEN_PROGRAMS, "a mint belongs to a token program"
    if given is not None and to_pubkey(given) != program:
        raise invalid_params(f"Invalid param: the mint {mint} belongs to {program}")
    key = associated_address(owner, mint, program)
    (record,) = await _records(call, bytes(key))
    made = updated_token_account(record, owner, mint, program, config)
    return with_context(None, await _write(call, faucet, allowed, key, made))


@method("surfnet_timeTravel", OperationType.WRITE, timeout=_TRAVEL_SECONDS)
async def surfnet_time_travel(call: Call) -> Any:
    _sandbox(call, "surfnet_timeTravel")
    warp = call.context.sending.warp
    if warp is None:
        raise invalid_request("This server has no archive to write into")
    config = call.params.config(0)
    slot, epoch = config.uint("absoluteSlot"), config.uint("absoluteEpoch")
    if "absoluteTimestamp" in config:
        raise invalid_params("Invalid param: time travel is in slots here; the clock stays that on the wall")
    if (slot is None) == (epoch is None):
        raise invalid_params("Invalid param: name `absoluteSlot` or `absoluteEpoch`")
    target = slot if slot is not None else (epoch or 0) * SLOTS_IN_EPOCH
    try:
        await asyncio.to_thread(warp, target)
    except WarpRefused as error:
        raise invalid_params(f"Invalid param: {error}") from None
    except (ArchiveUnavailable, ArchiveBehind) as error:
        raise node_unhealthy(f"Node is unhealthy: {error}") from error
    snapshot = await call.context.ledger.reader.read()
    return epoch_info(snapshot.slot, snapshot)


@method("surfnet_profileTransaction", cacheable=False)
async def surfnet_profile_transaction(call: Call) -> Any:
    _sandbox(call, "surfnet_profileTransaction")
    transaction = unverified(decode_text(call.params.text(0), Config({"encoding": "base64"})))
    done = await run(call, transaction)
    result = done.result
    message = None if result.err is None else transaction_error_text(error_value(result.err))
    parts = by_instruction(result.logs)
    instructions: list[dict[str, Any]] = [
        # Of builtin programs the VM tells the sum only.
        {"computeUnitsConsumed": part.units, "logMessages": part.logs, "errorMessage": None}
        for part in parts
    ]
    if instructions:
        # One that fails is the last that ran.
        instructions[-1]["errorMessage"] = message
    whole = {"computeUnitsConsumed": result.units, "logMessages": result.logs, "errorMessage": message}
    value = {
        "slot": done.slot,
        "key": str(transaction.parsed.signatures[0]),
        "instructionProfiles": instructions,
        "transactionProfile": whole,
    }
    return with_context(value, done.slot)


def _sandbox(call: Call, name: str) -> Faucet:
    """The faucet, whose key sets accounts. Raises -32600 where this is no sandbox."""
    if call.context.settings.profile is Profile.PROD:
        raise invalid_request(f"The profile is prod: {name} is for sandboxes only")
    faucet = call.context.sending.faucet
    if faucet is None:
        raise invalid_request(f"Airdrops are off on this node, and {name} needs the faucet")
    return faucet


async def _records(call: Call, *keys: bytes) -> list[bytes]:
    wanted = reads.accounts(keys)
    return (await call.context.ledger.reader.read(wanted)).answer(wanted)


async def _write(call: Call, faucet: Faucet, allowed: bytes, key: Pubkey, record: bytes) -> int:
    """Make `record` the account `key`; returns the slot."""
    authority = faucet.keypair()
    snapshot = await call.context.ledger.reader.read()
    try:
        check_authority(allowed, authority.pubkey())
        setting = set_account(authority, key, record, Hash(snapshot.blockhash))
    except SetRefused as error:
        raise invalid_params(f"Invalid param: {error}") from None
    if setting.pieces:
        await _processed(call, [verified(raw) for raw in setting.pieces])
    return await _processed(call, [verified(setting.last)])


async def _processed(call: Call, transactions: Sequence[VerifiedTransaction]) -> int:
    """Send them and wait for their outcomes; returns the slot of the last. Raises -32603 when one has another end."""
    sender, reader = call.context.sending.sender, call.context.ledger.reader
    for receipt in await asyncio.gather(*(sender.send(transaction) for transaction in transactions)):
        if receipt.verdict is Verdict.REJECTED or receipt.code is Reason.DEAD_LETTER:
            raise node_unhealthy(f"Node is unhealthy: {receipt.reason}")
    signatures = [transaction.signature for transaction in transactions]
    unresolved = [reads.is_unresolved(signature) for signature in signatures]
    recorded = reads.outcomes(signatures)
    while True:
        snapshot = await reader.read(recorded, *unresolved)
        outcomes = snapshot.answer(recorded)
        for outcome, waiting in zip(outcomes, map(snapshot.answer, unresolved), strict=True):
            if outcome is not None and outcome.err is not None:
                raise RpcError(INTERNAL_ERROR, f"The account was not set: {outcome.err}", {"logs": outcome.logs})
            if outcome is None and not waiting:
                raise RpcError(INTERNAL_ERROR, "The account was not set: the faucet cannot pay, or it was given up")
        if all(outcome is not None for outcome in outcomes):
            return max(outcome.slot for outcome in outcomes if outcome is not None)
        await asyncio.sleep(_LOOK_SECONDS)


def _key(config: Config, name: str) -> bytes | None:
    text = config.text(name)
    return None if text is None else bytes(to_pubkey(text))


def _from_hex(text: str | None) -> bytes | None:
    """Account data as Surfpool takes it, in hexadecimal digits."""
    if text is None:
        return None
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise invalid_params(f"Invalid hex data provided: {error}") from None
