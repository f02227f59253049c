"""What only a sandbox has: airdrops out of the genesis account, and accounts cloned from another cluster."""

__all__ = ["cloning", "faucet"]
