"""The ASGI application: JSON-RPC over HTTP, the endpoint of the websockets, and the check of hosts and origins."""

__all__ = ["post", "server"]
