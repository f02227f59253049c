"""Instructions as tables: the name, the accounts in their order, and the fields of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rpc.encoding.fields import Fields, read_fields
from rpc.encoding.instruction import DataReader, Instruction, Unparsable


@dataclass(frozen=True, slots=True)
class Row:
    """An instruction called `name`: `accounts` must be there, `more` may be, and with `nulls` are null where not."""

    name: str
    accounts: tuple[str, ...] = ()
    fields: Fields = ()
    more: tuple[str, ...] = ()
    nulls: bool = False

    def read(self, instruction: Instruction, data: DataReader) -> dict[str, Any]:
        """Raises Unparsable."""
        info = read_fields(data, self.fields)
        info |= {label: instruction.account(place) for place, label in enumerate(self.accounts)}
        for place, label in enumerate(self.more, len(self.accounts)):
            if place < len(instruction.accounts):
                info[label] = instruction.account(place)
            elif self.nulls:
                info[label] = None
        return {"type": self.name, "info": info}


def parse_by(rows: Mapping[int, Row], instruction: Instruction) -> dict[str, Any]:
    """The instruction in `rows` whose number stands in the first four bytes. Raises Unparsable."""
    data = DataReader(instruction.data)
    row = rows.get(data.u32())
    if row is None:
        raise Unparsable
    return row.read(instruction, data)
