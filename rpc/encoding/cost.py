"""What a transaction counts against a block's limit, as Agave's cost model has it (`cost-model/src/cost_model.rs`)."""

from __future__ import annotations

from solders.message import Message, MessageV0

_SIGNATURE_UNITS = 720
_WRITE_LOCK_UNITS = 300
#: Bytes of instruction data to a unit.
_DATA_BYTES = 4
_PAGE_BYTES = 32 * 1024
_PAGE_UNITS = 8
#: Units for each signature that a precompiled program checks; their number is the first byte of its instruction.
_PRECOMPILED_UNITS = {
    "KeccakSecp256k11111111111111111111111111111": 30 * 223,
    "Ed25519SigVerify111111111111111111111111111": 30 * 80,
    "Secp256r1SigVerify1111111111111111111111111": 30 * 160,
}


def cost_units(message: Message | MessageV0, units: int, loaded_bytes: int) -> int:
    """The cost of a transaction that was executed, in compute units: `units` are those that its programs took."""
    header = message.header
    keys = message.account_keys
    checked = header.num_required_signatures * _SIGNATURE_UNITS
    data_bytes = 0
    for instruction in message.instructions:
        data = bytes(instruction.data)
        data_bytes += len(data)
        if data and instruction.program_id_index < len(keys):
            checked += data[0] * _PRECOMPILED_UNITS.get(str(keys[instruction.program_id_index]), 0)
    # What a message claims to write counts, whether or not it can.
    locks = len(keys) - header.num_readonly_signed_accounts - header.num_readonly_unsigned_accounts
    if isinstance(message, MessageV0):
        locks += sum(len(lookup.writable_indexes) for lookup in message.address_table_lookups)
    pages = -(-loaded_bytes // _PAGE_BYTES)
    return checked + locks * _WRITE_LOCK_UNITS + data_bytes // _DATA_BYTES + units + pages * _PAGE_UNITS
