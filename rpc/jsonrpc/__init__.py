"""JSON-RPC 2.0, whichever way a request comes: parameters, errors, dispatch, limits, and what guards every call."""

__all__ = [
    "answer_budget",
    "answer_cache",
    "call_counts",
    "dispatch",
    "errors",
    "fault_tolerance",
    "limits",
    "params",
    "registry",
]
