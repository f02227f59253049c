"""Your first transaction, built, signed and sent with solders alone.

    trunkline up                              # in one terminal
    python -m examples.first_transaction      # in another; or with the address that `up` printed behind "RPC"

A new key gets 2 SOL from the faucet, sends half a SOL to another one, and waits until that is final: in a block that is
in the archive, where losing the whole of Redis cannot touch it. Any Solana library does the same.
"""

from __future__ import annotations

import base64
import json
import sys
import time
import urllib.request
from typing import Any

from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

SOL = 1_000_000_000  # lamports


class Rpc:
    """The few calls of Solana's JSON-RPC that this takes."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            told = json.load(answer)
        if "error" in told:
            raise SystemExit(f"{method} failed: {told['error']['message']}")
        return told["result"]

    def wait_final(self, signature: str, seconds: float = 30.0) -> int:
        """The slot of the transaction once its block is in the archive."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            [status] = self("getSignatureStatuses", [signature])["value"]
            if status and status["err"]:
                raise SystemExit(f"The transaction failed: {status['err']}")
            if status and status["confirmationStatus"] == "finalized":
                return int(status["slot"])
            time.sleep(0.1)
        raise SystemExit(f"{signature} is not final after {seconds:g} s: do workers and beat run?")


def main(url: str) -> None:
    """Fund, build, sign, send, wait."""
    rpc = Rpc(url)
    sender, receiver = Keypair(), Keypair()
    rpc.wait_final(rpc("requestAirdrop", str(sender.pubkey()), 2 * SOL))

    # What to do, who pays, and a recent blockhash, which says until when it may be done.
    give = transfer(TransferParams(from_pubkey=sender.pubkey(), to_pubkey=receiver.pubkey(), lamports=SOL // 2))
    recent = Hash.from_string(rpc("getLatestBlockhash")["value"]["blockhash"])
    transaction = Transaction([sender], Message.new_with_blockhash([give], sender.pubkey(), recent), recent)

    signature = rpc("sendTransaction", base64.b64encode(bytes(transaction)).decode(), {"encoding": "base64"})
    print(f"sent      {signature}")
    print(f"final     in slot {rpc.wait_final(signature)}")
    for name, key in (("sender", sender), ("receiver", receiver)):
        print(f"{name:<9} {key.pubkey()} has {rpc('getBalance', str(key.pubkey()))['value']} lamports")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8899")
