"""The ASGI application: JSON-RPC over HTTP, the door of the websockets, and which hosts may be asked for."""
