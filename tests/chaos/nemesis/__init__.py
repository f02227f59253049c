"""Faults, the seeded schedule they come in, and what runs it."""
