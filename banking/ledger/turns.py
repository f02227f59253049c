"""Turns: where batches conflict often, one is loaded, executed and committed after the other.

A conflict costs an execution, so the script that commits a batch with many of them asks for turns for a while
(`lua/commit.lua`). Then a worker waits for the turn before it loads (`lua/load_batch.lua`), and its commit hands the
turn on. A turn is a hint and nothing depends on it: the commit compares versions as ever, whoever has no turn goes
on without one, and one whose worker died, or is slow, is given anew after `TURN_MS`.
"""

from __future__ import annotations

#: Milliseconds (of Redis' clock) until a turn counts as lost, as its worker may be: some batches' time.
TURN_MS = 500
#: What `lua/load_batch.lua` is told by who has no turn, and what it says to who must wait for one.
ASKING, MUST_WAIT = b"?", b"-"
#: Fewer transactions cost too little to wait for them.
LEAST_OF_A_TURN = 8
#: Waits for one batch at most; then it goes without a turn.
MOST_WAITS = 8


def patience(socket_timeout: float | None) -> float:
    """Seconds to wait for a turn on a connection that gives up a reply after `socket_timeout` seconds."""
    seconds = TURN_MS / 1000
    return seconds if socket_timeout is None else min(seconds, socket_timeout / 2)
