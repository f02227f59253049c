"""Flower's settings (Flower executes this file). Options on Flower's command line win over these."""

# Flower has no login of its own unless told, so nobody beyond this machine may reach it.
address = "127.0.0.1"
# A worker that was killed or scaled away leaves the list after this many seconds.
purge_offline_workers = 60
# Tasks kept for display; a batch is one task, so this is over a million transactions.
max_tasks = 20_000
natural_time = True
