"""Addresses of the programs and sysvars that are built into the VM."""

from __future__ import annotations

from solders.pubkey import Pubkey

NATIVE_LOADER = Pubkey.from_string("NativeLoader1111111111111111111111111111111")
SYSVAR_OWNER = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")
UPGRADEABLE_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
LOADER_V4 = Pubkey.from_string("LoaderV411111111111111111111111111111111111")
PROGRAM_LOADERS = (
    # Data of upgradeable programs is owned by the same loader as the programs.
    UPGRADEABLE_LOADER,
    Pubkey.from_string("BPFLoader2111111111111111111111111111111111"),
    Pubkey.from_string("BPFLoader1111111111111111111111111111111111"),
)
ADDRESS_LOOKUP_TABLE = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
