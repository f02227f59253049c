"""The way of a transaction into the ledger's intake, or into the VM alone when it is only simulated."""

__all__ = ["sender", "simulator", "transaction_input"]
