"""What only a sandbox has: airdrops, accounts cloned from another cluster, token accounts set by hand."""

__all__ = ["cloning", "faucet", "token_account"]
