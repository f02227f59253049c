"""The ledger in Redis: its keys, its Lua scripts, its journal, and the bytes of its records."""
