"""JSON-RPC 2.0, whichever way a request comes: parameters, errors, dispatch, limits, and what guards every call."""
