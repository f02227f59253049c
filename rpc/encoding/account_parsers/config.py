"""Accounts of the config program: what validators tell about themselves."""

from __future__ import annotations

import json
from typing import Any

from rpc.encoding.instruction import DataReader, Unparsable

_VALIDATOR_INFO = "Va1idator1nfo111111111111111111111111111111"


def parse_config(_: bytes, data: bytes) -> dict[str, Any]:
    """Raises Unparsable for all but validator info."""
    reader = DataReader(data)
    keys = [{"pubkey": reader.key(), "signer": bool(reader.u8())} for _ in range(reader.varint(21))]
    if not keys or keys[0]["pubkey"] != _VALIDATOR_INFO:
        raise Unparsable
    try:
        told = json.loads(reader.text())
    except ValueError:
        raise Unparsable from None
    return {"type": "validatorInfo", "info": {"keys": keys, "configData": told}}
