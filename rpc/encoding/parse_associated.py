"""Instructions of the associated token account program."""

from __future__ import annotations

from typing import Any

from rpc.encoding.instruction import Instruction, Unparsable


def parse_associated(instruction: Instruction) -> dict[str, Any]:
    """Raises Unparsable."""
    kind = instruction.data[0] if instruction.data else 0
    if kind in (0, 1):
        return {
            "type": "create" if kind == 0 else "createIdempotent",
            "info": {
                "source": instruction.account(0),
                "account": instruction.account(1),
                "wallet": instruction.account(2),
                "mint": instruction.account(3),
                "systemProgram": instruction.account(4),
                "tokenProgram": instruction.account(5),
            },
        }
    if kind == 2:
        names = (
            "nestedSource",
            "nestedMint",
            "destination",
            "nestedOwner",
            "ownerMint",
            "wallet",
            "tokenProgram",
        )
        return {
            "type": "recoverNested",
            "info": {name: instruction.account(place) for place, name in enumerate(names)},
        }
    raise Unparsable
