"""What keeps things alive: retry, circuit breaker, degradation, checkpoints, dead letters. No Solana in sight."""

from recovery.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, CircuitState, get_breaker

__all__ = ["CircuitBreaker", "CircuitBreakerConfig", "CircuitOpenError", "CircuitState", "get_breaker"]
