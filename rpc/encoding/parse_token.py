"""Instructions of SPL Token, which Token-2022 shares. Source: `transaction-status/src/parse_token.rs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rpc.encoding.instruction import DataReader, Instruction, Unparsable
from rpc.encoding.token_layout import token_amount

Parsed = dict[str, Any]
_Parser = Callable[[Instruction, DataReader], tuple[str, Parsed]]

_AUTHORITIES = ("mintTokens", "freezeAccount", "accountOwner", "closeAccount")
_AUTHORITY_OF_MINT = 2


def parse_token(instruction: Instruction) -> Parsed:
    """Raises Unparsable for what is not one of SPL Token's 25 instructions."""
    data = DataReader(instruction.data)
    parse = _KINDS.get(data.u8())
    if parse is None:
        raise Unparsable
    name, info = parse(instruction, data)
    return {"type": name, "info": info}


def _authority(instruction: Instruction, place: int, name: str) -> Parsed:
    # More accounts after the authority are the signers of a multisig.
    signers = instruction.accounts[place + 1 :]
    if signers:
        return {f"multisig{name[0].upper()}{name[1:]}": instruction.account(place), "signers": signers}
    return {name: instruction.account(place)}


def _initialize_mint(name: str, *, rent: bool) -> _Parser:
    def parse(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
        info: Parsed = {"mint": instruction.account(0), "decimals": data.u8(), "mintAuthority": data.key()}
        if rent:
            info["rentSysvar"] = instruction.account(1)
        freeze = data.option_key()
        if freeze is not None:
            info["freezeAuthority"] = freeze
        return name, info

    return parse


def _initialize_account(instruction: Instruction, _: DataReader) -> tuple[str, Parsed]:
    return "initializeAccount", {
        "account": instruction.account(0),
        "mint": instruction.account(1),
        "owner": instruction.account(2),
        "rentSysvar": instruction.account(3),
    }


def _initialize_account2(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "initializeAccount2", {
        "account": instruction.account(0),
        "mint": instruction.account(1),
        "owner": data.key(),
        "rentSysvar": instruction.account(2),
    }


def _initialize_account3(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "initializeAccount3", {
        "account": instruction.account(0),
        "mint": instruction.account(1),
        "owner": data.key(),
    }


def _initialize_multisig(name: str, *, rent: bool) -> _Parser:
    def parse(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
        info: Parsed = {
            "multisig": instruction.account(0),
            "signers": instruction.accounts[2 if rent else 1 :],
            "m": data.u8(),
        }
        if rent:
            info["rentSysvar"] = instruction.account(1)
        return name, info

    return parse


def _amount(name: str, places: tuple[str, ...], authority: str) -> _Parser:
    def parse(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
        info: Parsed = {label: instruction.account(place) for place, label in enumerate(places)}
        info["amount"] = str(data.u64())
        return name, info | _authority(instruction, len(places), authority)

    return parse


def _checked(name: str, places: tuple[str, ...], authority: str) -> _Parser:
    def parse(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
        info: Parsed = {label: instruction.account(place) for place, label in enumerate(places)}
        info["tokenAmount"] = token_amount(data.u64(), data.u8())
        return name, info | _authority(instruction, len(places), authority)

    return parse


def _plain(name: str, places: tuple[str, ...], authority: str | None) -> _Parser:
    def parse(instruction: Instruction, _: DataReader) -> tuple[str, Parsed]:
        info: Parsed = {label: instruction.account(place) for place, label in enumerate(places)}
        return name, info if authority is None else info | _authority(instruction, len(places), authority)

    return parse


def _set_authority(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    kind = data.u8()
    if kind >= len(_AUTHORITIES):
        raise Unparsable
    owned = "mint" if kind < _AUTHORITY_OF_MINT else "account"
    info: Parsed = {
        owned: instruction.account(0),
        "authorityType": _AUTHORITIES[kind],
        "newAuthority": data.option_key(),
    }
    return "setAuthority", info | _authority(instruction, 1, "authority")


def _amount_to_ui(instruction: Instruction, data: DataReader) -> tuple[str, Parsed]:
    return "amountToUiAmount", {"mint": instruction.account(0), "amount": str(data.u64())}


_KINDS: dict[int, _Parser] = {
    0: _initialize_mint("initializeMint", rent=True),
    1: _initialize_account,
    2: _initialize_multisig("initializeMultisig", rent=True),
    3: _amount("transfer", ("source", "destination"), "authority"),
    4: _amount("approve", ("source", "delegate"), "owner"),
    5: _plain("revoke", ("source",), "owner"),
    6: _set_authority,
    7: _amount("mintTo", ("mint", "account"), "mintAuthority"),
    8: _amount("burn", ("account", "mint"), "authority"),
    9: _plain("closeAccount", ("account", "destination"), "owner"),
    10: _plain("freezeAccount", ("account", "mint"), "freezeAuthority"),
    11: _plain("thawAccount", ("account", "mint"), "freezeAuthority"),
    12: _checked("transferChecked", ("source", "mint", "destination"), "authority"),
    13: _checked("approveChecked", ("source", "mint", "delegate"), "owner"),
    14: _checked("mintToChecked", ("mint", "account"), "mintAuthority"),
    15: _checked("burnChecked", ("account", "mint"), "authority"),
    16: _initialize_account2,
    17: _plain("syncNative", ("account",), None),
    18: _initialize_account3,
    19: _initialize_multisig("initializeMultisig2", rent=False),
    20: _initialize_mint("initializeMint2", rent=False),
    21: _plain("getAccountDataSize", ("mint",), None),
    22: _plain("initializeImmutableOwner", ("account",), None),
    23: _amount_to_ui,
}
