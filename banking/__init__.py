"""The ledger and what is done with it: intake, execution, blocks, restore, audit."""

__all__ = ["errors", "from_settings", "keypairs", "transaction"]
