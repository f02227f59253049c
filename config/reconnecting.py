"""How processes of this project find their broker again: soon, and not all at the same moment.

kombu waits 2, 4, 6 ... 30 s between two attempts, the same in each process. After an outage of a minute workers then
stay away for up to 16 s more, and whoever lost the broker at the same moment comes back at the same moment.
"""

from __future__ import annotations

import random
from typing import Any

import kombu
from celery.app.amqp import AMQP as CeleryAMQP

#: Bounds in seconds of the first wait, of what each wait is longer than the one before, and of the longest. A refused
#: attempt is one packet; these are at most one in 1.5 s for each process.
FIRST, STEP, LONGEST = (0.1, 0.5), (0.2, 0.5), (1.5, 2.5)


class Connection(kombu.Connection):
    """A connection to the broker whose waits between attempts are short and drawn anew for each loss."""

    def _ensure_connection(self, *args: Any, **options: Any) -> Any:
        """As kombu's; an interval that the caller gives (a publisher's retry policy) is kept."""
        # Third to fifth of kombu's arguments.
        bounds = {"interval_start": FIRST, "interval_step": STEP, "interval_max": LONGEST}
        drawn = {name: random.uniform(*pair) for name, pair in list(bounds.items())[max(0, len(args) - 2) :]}
        return super()._ensure_connection(*args, **(drawn | options))


class AMQP(CeleryAMQP):
    """Celery's, with these connections."""

    Connection = Connection
