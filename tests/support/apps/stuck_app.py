"""The workers' app, except that a control command never comes back, as with a broker that hangs at the wrong moment."""

from __future__ import annotations

import threading
from typing import Any

from config.control import Control
from workers.app import app


class Stuck(Control):
    def broadcast(self, *_: Any, **__: Any) -> Any:
        threading.Event().wait()


app.control_cls = f"{__name__}:Stuck"
