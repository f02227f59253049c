"""`block`: what one slot came to."""

from __future__ import annotations

import json
from typing import Any

import base58
import click

from banking.blocks.block import Block
from banking.from_settings import read_blocks
from config.settings import get_settings
from recovery.archive import NotFound
from workers.cli.errors import CommandFailed
from workers.cli.root import trunkline


@trunkline.group()
def block() -> None:
    """Look at archived blocks."""


@block.command()
@click.argument("slot", type=click.IntRange(0))
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def show(slot: int, as_json: bool) -> None:
    """Verify the block of SLOT and show it."""
    blocks = read_blocks(get_settings())
    try:
        facts = _facts(blocks.read(slot))
    except NotFound:
        raise CommandFailed(f"The archive has no block of slot {slot}; its newest is {blocks.newest()}.") from None
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if name != "transactions":
            click.echo(f"{name:<12} {value}")
    for transaction in facts["transactions"]:
        outcome = "ok" if transaction["err"] is None else transaction["err"]
        click.echo(f"  {transaction['seq']:<10} {outcome:<4} {transaction['signature']}")


def _facts(block: Block) -> dict[str, Any]:
    header = block.header
    return {
        "slot": header.slot,
        "hash": base58.b58encode(block.hash).decode(),
        "parent": base58.b58encode(header.parent).decode(),
        "ledger_id": header.ledger_id,
        "epoch": header.epoch,
        "time": header.time_ms / 1000,
        "first_seq": header.first_seq,
        "last_seq": header.last_seq,
        "supply": header.supply,
        "burned": header.burned,
        "processed": header.processed,
        "failed": header.failed,
        "transactions": [
            {
                "seq": entry.seq,
                "signature": base58.b58encode(entry.signature).decode(),
                "err": entry.outcome.err,
                "fee": entry.burned,
                "accounts": len(entry.keys),
            }
            for entry in block.entries
            if entry.raw
        ],
    }
