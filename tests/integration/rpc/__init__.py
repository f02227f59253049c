"""The RPC server on a real Redis."""
