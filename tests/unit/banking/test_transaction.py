"""What a client may send, and what it is told when it may not."""

from __future__ import annotations

import base64
import os

import base58
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from banking.errors import InvalidTransaction
from banking.intake.reasons import Reason
from banking.transaction import (
    PACKET_BYTES,
    TransactionInput,
    VerifiedTransaction,
    check_signatures,
    decode,
    parse,
    verify,
)
from tests.support.ledgers import sign, transfer_transaction

PAYER = Keypair.from_seed(bytes(range(32)))
GOOD = bytes(transfer_transaction(PAYER, Pubkey.from_bytes(b"t" * 32), 5, Hash.default()))
#: One byte counts the signatures, 64 bytes are the signature.
MESSAGE_AT = 65


def refusal(transaction: bytes | str | VersionedTransaction) -> str:
    with pytest.raises(InvalidTransaction) as caught:
        verify(decode(transaction))
    return caught.value.reason


def signed_over(message: bytes) -> bytes:
    """A transaction of one signature over these very bytes, whatever they mean."""
    return b"\x01" + bytes(PAYER.sign_message(message)) + message


def test_the_good_one_is_good() -> None:
    transaction = verify(GOOD)
    assert (transaction.raw, transaction.signature, transaction.blockhash) == (GOOD, GOOD[1:65], bytes(Hash.default()))
    assert not transaction.lookups


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a transaction: 0 characters"),
        ("   ", "not a transaction: 0 characters"),
        ("%%% no encoding %%%", "not base64 and not base58"),
        ("0OIl", "malformed or truncated"),
        ("A" * 10_000, "not a transaction: 10000 characters"),
        (base64.b64encode(GOOD[:-1]).decode(), "malformed or truncated"),
        (base58.b58encode(GOOD[:-1]).decode(), "malformed or truncated"),
        (base64.b64encode(GOOD + b"\0").decode(), "trailing bytes"),
        (base64.b64encode(os.urandom(PACKET_BYTES + 1)).decode(), "too large: 1233 bytes, at most 1232"),
    ],
    ids=["empty", "blank", "neither", "base64 only", "novel", "cut64", "cut58", "trailing", "large"],
)
def test_text_that_is_no_transaction(text: str, reason: str) -> None:
    assert reason in refusal(text)


@pytest.mark.parametrize("length", [0, 1, 64, MESSAGE_AT, MESSAGE_AT + 3, len(GOOD) - 1])
def test_truncated_anywhere(length: int) -> None:
    assert "malformed or truncated" in refusal(GOOD[:length])


def test_trailing_bytes_are_no_second_spelling() -> None:
    assert "trailing bytes" in refusal(GOOD + b"x")


def test_only_a_verification_makes_a_verified_transaction() -> None:
    forged = GOOD[:1] + bytes(64) + GOOD[65:]
    assert not isinstance(parse(forged), VerifiedTransaction)
    with pytest.raises(InvalidTransaction) as caught:
        VerifiedTransaction(forged)
    assert caught.value.code is Reason.SIGNATURE_FAILURE
    assert VerifiedTransaction(GOOD) == verify(GOOD) == check_signatures(parse(GOOD))


def test_wrong_signature() -> None:
    for place in (1, 40, MESSAGE_AT + 10, len(GOOD) - 1):
        forged = bytearray(GOOD)
        forged[place] ^= 1
        assert refusal(bytes(forged)) == "SignatureFailure"


def test_signature_of_somebody_else() -> None:
    message = VersionedTransaction.from_bytes(GOOD).message
    other = Keypair().sign_message(GOOD[MESSAGE_AT:])
    assert refusal(VersionedTransaction.populate(message, [other])) == "SignatureFailure"


def test_missing_signatures() -> None:
    message = VersionedTransaction.from_bytes(GOOD).message
    assert "SignatureFailure" in refusal(VersionedTransaction.populate(message, []))
    assert refusal(VersionedTransaction.populate(message, [Signature.default()])) == "SignatureFailure"


def test_second_signer_missing() -> None:
    second = Keypair()
    params = TransferParams(from_pubkey=second.pubkey(), to_pubkey=PAYER.pubkey(), lamports=1)
    whole = sign([transfer(params)], [PAYER, second], Hash.default())
    verify(bytes(whole))
    assert "SignatureFailure" in refusal(VersionedTransaction.populate(whole.message, whole.signatures[:1]))


def test_more_signatures_than_signers() -> None:
    message = VersionedTransaction.from_bytes(GOOD).message
    doubled = VersionedTransaction.populate(message, [PAYER.sign_message(GOOD[MESSAGE_AT:])] * 2)
    assert refusal(doubled)


def test_version_0_is_taken_and_version_1_is_not() -> None:
    instruction = transfer(TransferParams(from_pubkey=PAYER.pubkey(), to_pubkey=Pubkey.default(), lamports=1))
    message = MessageV0.try_compile(PAYER.pubkey(), [instruction], [], Hash.default())
    whole = VersionedTransaction(message, [PAYER])
    verify(bytes(whole))
    body = bytearray(bytes(whole)[MESSAGE_AT:])
    assert body[0] == 0x80
    body[0] = 0x81
    assert "malformed or truncated" in refusal(signed_over(bytes(body)))


def test_non_canonical_lengths_are_refused() -> None:
    """compact-u16 can spell 1 as `01` and as `81 00`; the second would be a second record of one transaction."""
    assert refusal(b"\x81\x00" + GOOD[1:])
    # Inside the message, with a signature that is right for the odd bytes.
    message = GOOD[MESSAGE_AT:]
    assert message[3] == 3  # the number of account keys
    odd = message[:3] + b"\x83\x00" + message[4:]
    assert refusal(signed_over(odd))


def test_header_that_asks_for_more_signers_than_keys() -> None:
    message = bytearray(GOOD[MESSAGE_AT:])
    message[0] = 9
    assert refusal(signed_over(bytes(message)))


def test_index_beyond_the_accounts() -> None:
    message = bytearray(GOOD[MESSAGE_AT:])
    program_at = 4 + 3 * 32 + 32 + 1
    assert message[program_at] == 2
    message[program_at] = 77
    assert "malformed" in refusal(signed_over(bytes(message)))


def test_the_largest_packet_passes() -> None:
    for spare in range(4):
        memo = Message.new_with_blockhash([_memo(PACKET_BYTES - 240 + 64 - spare)], PAYER.pubkey(), Hash.default())
        raw = bytes(VersionedTransaction(memo, [PAYER]))
        if len(raw) == PACKET_BYTES:
            break
    assert verify(raw).raw == raw
    assert decode(base58.b58encode(raw).decode()) == raw


def _memo(length: int) -> Instruction:
    return Instruction(Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"), b"m" * length, [])


keypairs = st.binary(min_size=32, max_size=32).map(Keypair.from_seed)


@settings(deadline=None, max_examples=60)
@given(
    payer=keypairs,
    target=st.binary(min_size=32, max_size=32),
    lamports=st.integers(0, 2**64 - 1),
    blockhash=st.binary(min_size=32, max_size=32),
)
def test_every_encoding_of_a_transaction_is_that_transaction(
    payer: Keypair, target: bytes, lamports: int, blockhash: bytes
) -> None:
    transaction = transfer_transaction(payer, Pubkey.from_bytes(target), lamports, Hash.from_bytes(blockhash))
    raw = bytes(transaction)
    texts = (base64.b64encode(raw).decode(), base58.b58encode(raw).decode())
    forms: list[TransactionInput] = [transaction, raw, *texts, *(f" {text}\n" for text in texts)]
    for form in forms:
        assert decode(form) == raw
    signed = verify(raw)
    assert (signed.raw, signed.signature, signed.blockhash) == (raw, bytes(transaction.signatures[0]), blockhash)


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=1300), st.text(max_size=300)))
def test_rubbish_is_refused_with_a_reason(rubbish: bytes | str) -> None:
    """And never with another error."""
    assert refusal(rubbish)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_passes(place: int, change: int) -> None:
    changed = bytearray(GOOD)
    changed[place] ^= change
    assert refusal(bytes(changed))
