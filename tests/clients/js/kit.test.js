// @solana/kit: airdrop, transfer with sendAndConfirm, subscriptions, and how it reads our errors.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import {
  AccountRole,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
  address,
  airdropFactory,
  appendTransactionMessageInstruction,
  assertIsTransactionWithBlockhashLifetime,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  generateKeyPairSigner,
  getSignatureFromTransaction,
  isSolanaError,
  lamports,
  pipe,
  sendAndConfirmTransactionFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from "@solana/kit";
import { url, wsUrl } from "./environment.js";

const rpc = createSolanaRpc(url);
const rpcSubscriptions = createSolanaRpcSubscriptions(wsUrl);
const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
let payer;

function transferInstruction(from, to, amount) {
  const data = new Uint8Array(12);
  const view = new DataView(data.buffer);
  view.setUint32(0, 2, true);
  view.setBigUint64(4, amount, true);
  return {
    programAddress: address("11111111111111111111111111111111"),
    accounts: [
      { address: from.address, role: AccountRole.WRITABLE_SIGNER, signer: from },
      { address: to, role: AccountRole.WRITABLE },
    ],
    data,
  };
}

async function signedTransfer(to, amount) {
  const { value: latest } = await rpc.getLatestBlockhash().send();
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (m) => setTransactionMessageFeePayerSigner(payer, m),
    (m) => setTransactionMessageLifetimeUsingBlockhash(latest, m),
    (m) => appendTransactionMessageInstruction(transferInstruction(payer, to, amount), m),
  );
  const transaction = await signTransactionMessageWithSigners(message);
  assertIsTransactionWithBlockhashLifetime(transaction);
  return transaction;
}

before(async () => {
  payer = await generateKeyPairSigner();
  const airdrop = airdropFactory({ rpc, rpcSubscriptions });
  await airdrop({ recipientAddress: payer.address, lamports: lamports(5_000_000_000n), commitment: "confirmed" });
});

test("an airdrop is in the balance", async () => {
  const { value } = await rpc.getBalance(payer.address, { commitment: "confirmed" }).send();
  assert.equal(value, 5_000_000_000n);
});

test("sendAndConfirm transfers", async () => {
  const to = (await generateKeyPairSigner()).address;
  const transaction = await signedTransfer(to, 1_000_000n);
  await sendAndConfirm(transaction, { commitment: "confirmed" });
  assert.equal((await rpc.getBalance(to).send()).value, 1_000_000n);
  const signature = getSignatureFromTransaction(transaction);
  const found = await rpc.getTransaction(signature, { encoding: "json", maxSupportedTransactionVersion: 0 }).send();
  assert.equal(found.meta.fee, 5000n);
});

test("a failing preflight can be told apart", async () => {
  const to = (await generateKeyPairSigner()).address;
  const transaction = await signedTransfer(to, 50_000_000_000n);
  await assert.rejects(sendAndConfirm(transaction, { commitment: "confirmed" }), (error) => {
    assert.ok(isSolanaError(error, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE));
    assert.ok(error.context.logs.length > 0);
    return true;
  });
});

test("u64 stays an integer", async () => {
  const { value } = await rpc
    .getAccountInfo(address("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"), { encoding: "base64" })
    .send();
  assert.equal(typeof value.space, "bigint");
  assert.ok(value.executable);
});

test("account notifications come", async () => {
  const to = (await generateKeyPairSigner()).address;
  const abort = new AbortController();
  const notifications = await rpcSubscriptions
    .accountNotifications(to, { commitment: "processed", encoding: "base64" })
    .subscribe({ abortSignal: abort.signal });
  // kit keeps notifications only for those who are waiting already.
  const next = notifications[Symbol.asyncIterator]().next();
  await sendAndConfirm(await signedTransfer(to, 2_000_000n), { commitment: "processed" });
  assert.equal((await next).value.value.lamports, 2_000_000n);
  abort.abort();
});

test("subscriptions go on after the connection was lost", async () => {
  for (let round = 0; round < 3; round += 1) {
    const stop = new AbortController();
    const slots = await rpcSubscriptions.slotNotifications().subscribe({ abortSignal: stop.signal });
    let seen = 0;
    for await (const slot of slots) {
      assert.ok(slot.slot > 0n);
      seen += 1;
      if (seen === 2) stop.abort();
    }
    assert.equal(seen, 2);
  }
});
