"""Extensions of Token-2022, as a table. Source: `spl_token_2022::extension` and Agave's `parse_token_extension`.

Behind a mint or an account (165 bytes and one for its type) each extension stands as type u16, length u16, data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rpc.encoding.fields import (
    Fields,
    encoded,
    f64_text,
    flag,
    group,
    i16,
    i64,
    key,
    key_or_none,
    listed,
    read_fields,
    short_text,
    u8,
    u16,
    u32,
    u64,
)
from rpc.encoding.instruction import DataReader, Unparsable

_FIRST_AT = 166
_CIPHERTEXT, _DECRYPTABLE, _ELGAMAL_KEY = encoded(64), encoded(36), encoded(32)
_STATES = ("uninitialized", "initialized", "frozen")
_TRANSFER_FEE = group((("epoch", u64), ("maximumFee", u64), ("transferFeeBasisPoints", u16)))


def _elgamal_key_or_none(reader: DataReader) -> str | None:
    found = reader.take(32)
    return None if found == bytes(32) else str(_ELGAMAL_KEY(DataReader(found)))


def _state(reader: DataReader) -> str:
    return _STATES[min(u8(reader), 2)]


def _metadata_pair(reader: DataReader) -> list[str]:
    return [short_text(reader), short_text(reader)]


#: Type to Agave's name for it, and to its fields; those without fields have no `state`. A new one is a line here.
EXTENSIONS: dict[int, tuple[str, Fields]] = {
    1: (
        "transferFeeConfig",
        (
            ("transferFeeConfigAuthority", key_or_none),
            ("withdrawWithheldAuthority", key_or_none),
            ("withheldAmount", u64),
            ("olderTransferFee", _TRANSFER_FEE),
            ("newerTransferFee", _TRANSFER_FEE),
        ),
    ),
    2: ("transferFeeAmount", (("withheldAmount", u64),)),
    3: ("mintCloseAuthority", (("closeAuthority", key_or_none),)),
    4: (
        "confidentialTransferMint",
        (
            ("authority", key_or_none),
            ("autoApproveNewAccounts", flag),
            ("auditorElgamalPubkey", _elgamal_key_or_none),
        ),
    ),
    5: (
        "confidentialTransferAccount",
        (
            ("approved", flag),
            ("elgamalPubkey", _ELGAMAL_KEY),
            ("pendingBalanceLo", _CIPHERTEXT),
            ("pendingBalanceHi", _CIPHERTEXT),
            ("availableBalance", _CIPHERTEXT),
            ("decryptableAvailableBalance", _DECRYPTABLE),
            ("allowConfidentialCredits", flag),
            ("allowNonConfidentialCredits", flag),
            ("pendingBalanceCreditCounter", u64),
            ("maximumPendingBalanceCreditCounter", u64),
            ("expectedPendingBalanceCreditCounter", u64),
            ("actualPendingBalanceCreditCounter", u64),
        ),
    ),
    6: ("defaultAccountState", (("accountState", _state),)),
    7: ("immutableOwner", ()),
    8: ("memoTransfer", (("requireIncomingTransferMemos", flag),)),
    9: ("nonTransferable", ()),
    10: (
        "interestBearingConfig",
        (
            ("rateAuthority", key_or_none),
            ("initializationTimestamp", i64),
            ("preUpdateAverageRate", i16),
            ("lastUpdateTimestamp", i64),
            ("currentRate", i16),
        ),
    ),
    11: ("cpiGuard", (("lockCpi", flag),)),
    12: ("permanentDelegate", (("delegate", key_or_none),)),
    13: ("nonTransferableAccount", ()),
    14: ("transferHook", (("authority", key_or_none), ("programId", key_or_none))),
    15: ("transferHookAccount", (("transferring", flag),)),
    16: (
        "confidentialTransferFeeConfig",
        (
            ("authority", key_or_none),
            ("withdrawWithheldAuthorityElgamalPubkey", _ELGAMAL_KEY),
            ("harvestToMintEnabled", flag),
            ("withheldAmount", _CIPHERTEXT),
        ),
    ),
    17: ("confidentialTransferFeeAmount", (("withheldAmount", _CIPHERTEXT),)),
    18: ("metadataPointer", (("authority", key_or_none), ("metadataAddress", key_or_none))),
    19: (
        "tokenMetadata",
        (
            ("updateAuthority", key_or_none),
            ("mint", key),
            ("name", short_text),
            ("symbol", short_text),
            ("uri", short_text),
            ("additionalMetadata", listed(_metadata_pair, u32)),
        ),
    ),
    20: ("groupPointer", (("authority", key_or_none), ("groupAddress", key_or_none))),
    21: ("tokenGroup", (("updateAuthority", key_or_none), ("mint", key), ("size", u64), ("maxSize", u64))),
    22: ("groupMemberPointer", (("authority", key_or_none), ("memberAddress", key_or_none))),
    23: ("tokenGroupMember", (("mint", key), ("group", key), ("memberNumber", u64))),
    24: (
        "confidentialMintBurn",
        (
            ("confidentialSupply", _CIPHERTEXT),
            ("decryptableSupply", _DECRYPTABLE),
            ("supplyElgamalPubkey", _ELGAMAL_KEY),
            ("pendingBurn", _CIPHERTEXT),
        ),
    ),
    25: (
        "scaledUiAmountConfig",
        (
            ("authority", key_or_none),
            ("multiplier", f64_text),
            ("newMultiplierEffectiveTimestamp", i64),
            ("newMultiplier", f64_text),
        ),
    ),
    26: ("pausableConfig", (("authority", key_or_none), ("paused", flag))),
    27: ("pausableAccount", ()),
}


def extensions_in(data: bytes) -> list[dict[str, Any]]:
    """The extensions of a mint or token account in their order; none where one is of an unknown type."""
    found: list[dict[str, Any]] = []
    for kind, part in _parts(data):
        known = EXTENSIONS.get(kind)
        if known is None:
            return []
        name, fields = known
        try:
            state = read_fields(DataReader(part), fields)
        except Unparsable:
            found.append({"extension": "unparseableExtension"})
            continue
        found.append({"extension": name, "state": state} if fields else {"extension": name})
    return found


def extension_data(data: bytes, kind: int) -> bytes | None:
    """The data of the extension of type `kind`, None when there is none."""
    return next((part for found, part in _parts(data) if found == kind), None)


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = _FIRST_AT
    while at + 4 <= len(data):
        kind, size = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")
        if not kind or at + 4 + size > len(data):
            return
        yield kind, data[at + 4 : at + 4 + size]
        at += 4 + size
