"""Accounts from the JSON files of the Solana tools."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from solders.pubkey import Pubkey

from banking.admin.fixtures import BadAccount, read_account_dir
from banking.ledger.records import unpack_account

_OWNER = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"


def _write(folder: Path, name: str, **changes: Any) -> Pubkey:
    key = Pubkey.new_unique()
    account = {
        "lamports": 7,
        "data": [base64.b64encode(b"data").decode(), "base64"],
        "owner": _OWNER,
        "executable": False,
        "rentEpoch": 18446744073709551615,
        "space": 4,
    }
    value = {"pubkey": str(key), "account": account | changes}
    (folder / name).write_text(json.dumps(value))
    return key


def test_a_folder_of_accounts(tmp_path: Path) -> None:
    plain = _write(tmp_path, "a.json")
    packed = base64.b64encode(zstandard.ZstdCompressor().compress(b"data")).decode()
    small = _write(tmp_path, "b.json", data=[packed, "base64+zstd"], executable=True)
    (tmp_path / "README.md").write_text("not an account")
    accounts = read_account_dir(tmp_path)
    assert set(accounts) == {bytes(plain), bytes(small)}
    views = [unpack_account(accounts[bytes(key)]) for key in (plain, small)]
    assert [view.data for view in views] == [b"data", b"data"]
    assert (views[0].lamports, views[0].rent_epoch, views[0].executable) == (7, 2**64 - 1, False)
    assert views[0].owner == bytes(Pubkey.from_string(_OWNER))
    assert views[1].executable


@pytest.mark.parametrize(
    "changes",
    [
        {"lamports": -1},
        {"lamports": 0},
        {"lamports": "7"},
        {"data": ["!", "base64"]},
        {"data": ["", "hex"]},
        {"data": None},
        {"owner": "nobody"},
        {"rentEpoch": -1},
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    _write(tmp_path, "wrong.json", **changes)
    with pytest.raises(BadAccount, match=r"wrong\.json"):
        read_account_dir(tmp_path)


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BadAccount, match="no account file"):
        read_account_dir(tmp_path)
