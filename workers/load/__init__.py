"""Producing load and watching what becomes of it: what `load`, `submit --wait` and the demo have in common."""
