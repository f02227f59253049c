"""What the VM is given and how its answers are read: see docs/execution.md."""

__all__ = [
    "account_access",
    "executor",
    "fees",
    "native",
    "nonces",
    "places",
    "processor",
    "profile",
    "reserved",
    "sandbox_program",
    "stage",
    "sysvars",
    "transaction_meta",
    "vm",
]
