"""Making ledgers: genesis blocks, forks, exports and account fixtures."""

__all__ = ["fixtures", "fork", "genesis", "ledger_export", "vote_account"]
