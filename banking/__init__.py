"""The ledger and what is done with it: intake, execution, blocks, restore, audit."""
