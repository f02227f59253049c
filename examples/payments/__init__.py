"""Charging cards through a flaky service: the `recovery` package in a plain Celery project, no ledger in sight.

Run it, from the project's folder:

    .venv/bin/python -m examples.payments

It starts a private Redis as broker (or uses the one that PAYMENTS_REDIS_URL names), the card service and a worker;
sends 40 charges; waits for every outcome; prints them; and exits with 0 if each card was charged exactly once,
each declined one never, and the hopeless one is among the dead letters.

On the way you see retries with the delay that the service asked for, the breaker of the service open and close for
both worker processes, and charges parked meanwhile.

`app.py` is what you would write yourself; `card_service.py` is the flaky other side.
"""
