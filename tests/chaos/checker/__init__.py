"""The judge: recorded history, archive and ledger, read by the oracle and by nothing of the pipeline's."""
