"""What keeps things alive: retry, circuit breaker, degradation, checkpoints, dead letters. No Solana in sight."""
