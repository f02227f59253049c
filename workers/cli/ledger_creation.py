"""Making the ledger, for `init` and `up`, and the line that describes the result."""

from __future__ import annotations

from collections.abc import Callable

from banking.admin.warp import warp
from banking.blocks.sealer import Sealer
from banking.errors import LedgerExists, LedgerRestoring
from banking.from_settings import open_blocks
from banking.ledger.ledger import Ledger
from config.errors import TrunklineError
from config.settings import Settings
from recovery.connections import connect
from workers.cli.sandbox import require_sandbox
from workers.faucet import Initialised, faucet_path, initialise


def create_if_missing(
    settings: Settings, redis_url: str, extra: Callable[[], dict[bytes, bytes]], *, warp_slot: int | None = None
) -> str:
    """Make the ledger if need be, with `extra` accounts beside the faucet's; what to say of it.

    A ledger that is there is moved to `warp_slot` unless it is beyond. Raises SandboxRefused in profile `prod`.
    """
    if warp_slot is not None:
        require_sandbox(settings, "--warp-slot")
    try:
        made = _describe(settings, initialise(settings, redis_url, extra))
        return made if warp_slot is None else f"{made}\n{_warp(settings, redis_url, warp_slot)}"
    except LedgerRestoring:
        return f"The restore of ledger {settings.ledger.name!r} was cut off: the workers are to finish it."
    except LedgerExists:
        return f"Redis has no ledger {settings.ledger.name!r}, but the archive has: the workers are to restore it."


def _warp(settings: Settings, redis_url: str, slot: int) -> str:
    with connect(redis_url, timeout=settings.redis.timeout) as client:
        ledger = Ledger(client, settings.ledger.name)
        now = ledger.state().slot
        if now >= slot:
            return f"Slot {now} is open: no need to go to slot {slot}."
        done = warp(ledger, Sealer(ledger, open_blocks(settings)), slot)
    return f"Slot {done.slot} is open, after {done.seconds:.2f} s."


def _describe(settings: Settings, made: Initialised) -> str:
    path = faucet_path(settings)
    if made.created:
        return (
            f"Ledger {settings.ledger.name!r} made (id {made.ledger_id}). Its faucet {made.faucet} holds "
            f"{settings.ledger.genesis_lamports} lamports; the key is {path}."
        )
    if made.faucet is not None:
        return f"Ledger {settings.ledger.name!r} is there already (id {made.ledger_id}), with the faucet {made.faucet}."
    if not path.exists():
        return (
            f"Ledger {settings.ledger.name!r} is there already (id {made.ledger_id}), made elsewhere: "
            f"no airdrops from here without its faucet key in {path}."
        )
    raise TrunklineError(
        f"The ledger {settings.ledger.name!r} exists, but the key in {path} has nothing in it: it is another ledger's. "
        "Choose another ledger by TRUNKLINE_LEDGER, another --data DIR, or put the right faucet.json there."
    )
