"""Sending transactions and airdrops."""

from __future__ import annotations

from solders.hash import Hash
from solders.signature import Signature

from banking.intake.reasons import Reason
from banking.transaction import VerifiedTransaction
from recovery.degradation import OperationType
from rpc.jsonrpc.errors import (
    Overloaded,
    RpcError,
    SignaturesDoNotVerify,
    invalid_params,
    invalid_request,
    node_unhealthy,
)
from rpc.jsonrpc.params import Commitment, to_hash
from rpc.jsonrpc.registry import Call, method
from rpc.methods.account_view import require_slot, slot_at
from rpc.methods.simulation import preflight_failure, run, signature_failure
from rpc.sending.transaction_input import decode_text, verified
from tasks.receipts import Receipt, Verdict

#: Answered with HTTP 429: a later attempt may be accepted.
_OVERLOADS = frozenset({Reason.INTAKE_FULL, Reason.ARCHIVE_BEHIND})


@method("sendTransaction", OperationType.WRITE)
async def send_transaction(call: Call) -> str:
    config = call.params.config(1)
    raw = decode_text(call.params.text(0), config)
    skip = config.flag("skipPreflight")
    commitment = config.commitment(name="preflightCommitment")
    # A transaction stays in intake until it has its outcome, so there is nothing to re-broadcast.
    config.uint("maxRetries")
    if "minContextSlot" in config:
        require_slot(slot_at(await call.context.ledger.reader.read(), commitment), config)
    try:
        transaction = verified(raw)
    except SignaturesDoNotVerify:
        if skip:
            raise
        raise signature_failure() from None
    if not skip:
        done = await run(call, transaction)
        failure = preflight_failure(done)
        if failure is not None:
            raise failure
    return await _send(call, transaction)


@method("requestAirdrop", OperationType.WRITE)
async def request_airdrop(call: Call) -> str:
    context = call.context
    if context.sending.faucet is None:
        raise invalid_request("Airdrops are off on this node")
    target, lamports, config = call.params.pubkey(0), call.params.uint(1), call.params.config(2)
    config.commitment(Commitment.FINALIZED)
    context.sending.limits.spend_airdrop(call.address)
    given = config.text("recentBlockhash")
    blockhash = to_hash(given) if given is not None else Hash((await context.ledger.reader.read()).blockhash)
    transaction = context.sending.faucet.sign(target, lamports, blockhash)
    return await _send(call, verified(bytes(transaction)))


async def _send(call: Call, transaction: VerifiedTransaction) -> str:
    receipt = await call.context.sending.sender.send(transaction)
    if receipt.verdict is Verdict.REJECTED:
        raise _refusal(receipt)
    if receipt.code is Reason.DEAD_LETTER:
        raise invalid_params(f"Transaction was given up before: {receipt.reason}")
    call.context.sending.accepted(transaction.signature)
    return str(Signature.from_bytes(transaction.signature))


def _refusal(receipt: Receipt) -> RpcError:
    # Its signatures are verified, so the reason is the state of the ledger: a full intake, or a mode.
    if receipt.code in _OVERLOADS:
        return Overloaded(f"Node is unhealthy: {receipt.reason}")
    return node_unhealthy(f"Node is unhealthy: {receipt.reason}")
