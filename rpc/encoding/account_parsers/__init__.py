"""The accounts of each program as JSON, after Agave's `account-decoder`; `parsed_accounts` has the table."""

__all__ = ["config", "loader", "lookup_table", "nonce", "stake", "sysvar", "token", "vote"]
