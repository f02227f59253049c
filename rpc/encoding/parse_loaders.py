"""Instructions of the BPF loaders. Source: Agave's `transaction-status/src/parse_bpf_loader.rs`."""

from __future__ import annotations

import base64
from typing import Any

from rpc.encoding.fields import u32, u64
from rpc.encoding.instruction import DataReader, Instruction
from rpc.encoding.instruction_table import Row, parse_by


def _bytes(reader: DataReader) -> str:
    return base64.b64encode(reader.take(reader.u64())).decode()


_LOADER = {
    0: Row("write", ("account",), (("offset", u32), ("bytes", _bytes))),
    1: Row("finalize", ("account",)),
}
_DEPLOYED = ("programDataAccount", "programAccount", "bufferAccount")
_SYSVARS = ("rentSysvar", "clockSysvar")
_PAID = ("systemProgram", "payerAccount")
_UPGRADEABLE = {
    0: Row("initializeBuffer", ("account",), more=("authority",)),
    1: Row("write", ("account", "authority"), (("offset", u32), ("bytes", _bytes))),
    2: Row(
        "deployWithMaxDataLen",
        ("payerAccount", *_DEPLOYED, *_SYSVARS, "systemProgram", "authority"),
        (("maxDataLen", u64),),
    ),
    3: Row("upgrade", (*_DEPLOYED, "spillAccount", *_SYSVARS, "authority")),
    4: Row("setAuthority", ("account", "authority"), more=("newAuthority",), nulls=True),
    5: Row("close", ("account", "recipient", "authority"), more=("programAccount",), nulls=True),
    6: Row(
        "extendProgram", ("programDataAccount", "programAccount"), (("additionalBytes", u32),), more=_PAID, nulls=True
    ),
    7: Row("setAuthorityChecked", ("account", "authority", "newAuthority")),
    9: Row(
        "extendProgramChecked",
        ("programDataAccount", "programAccount", "authority"),
        (("additionalBytes", u32),),
        more=_PAID,
        nulls=True,
    ),
}


def parse_loader_call(instruction: Instruction) -> dict[str, Any]:
    """Of the second loader. Raises Unparsable."""
    return parse_by(_LOADER, instruction)


def parse_upgradeable_call(instruction: Instruction) -> dict[str, Any]:
    """Of the upgradeable loader. Raises Unparsable."""
    return parse_by(_UPGRADEABLE, instruction)
