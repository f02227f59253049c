"""Instructions of the address lookup table program."""

from __future__ import annotations

from typing import Any

from rpc.encoding.instruction import DataReader, Instruction, Unparsable


def parse_lookup_table(instruction: Instruction) -> dict[str, Any]:
    """Raises Unparsable."""
    data = DataReader(instruction.data)
    info: dict[str, Any] = {"lookupTableAccount": instruction.account(0)}
    info["lookupTableAuthority"] = instruction.account(1)
    match data.u32():
        case 0:
            info |= {
                "payerAccount": instruction.account(2),
                "systemProgram": instruction.account(3),
                "recentSlot": data.u64(),
                "bumpSeed": data.u8(),
            }
            return {"type": "createLookupTable", "info": info}
        case 1:
            return {"type": "freezeLookupTable", "info": info}
        case 2:
            info["newAddresses"] = [data.key() for _ in range(data.u64())]
            if len(instruction.accounts) >= 4:
                info |= {"payerAccount": instruction.account(2), "systemProgram": instruction.account(3)}
            return {"type": "extendLookupTable", "info": info}
        case 3:
            return {"type": "deactivateLookupTable", "info": info}
        case 4:
            info["recipient"] = instruction.account(2)
            return {"type": "closeLookupTable", "info": info}
        case _:
            raise Unparsable
