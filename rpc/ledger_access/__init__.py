"""Reading the ledger from the event loop: Redis, the chain's end, the journal, blocks, the accounts of the VM alone."""
