"""Making ledgers: genesis blocks, forks, exports, account fixtures and programs; time travel."""

__all__ = ["fixtures", "fork", "genesis", "ledger_export", "programs", "set_account", "vote_account", "warp"]
