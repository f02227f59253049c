// @solana/web3.js 1.x as any application uses it: only the URL is ours.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import {
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  PublicKey,
  SendTransactionError,
  SystemProgram,
  Transaction,
  TransactionMessage,
  VersionedTransaction,
  AddressLookupTableProgram,
  sendAndConfirmTransaction,
} from "@solana/web3.js";
import { first, url, wsUrl } from "./environment.js";

const connection = new Connection(url, { commitment: "confirmed", wsEndpoint: wsUrl });
const payer = Keypair.generate();

function transfer(to, lamports) {
  return new Transaction().add(SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: to, lamports }));
}

before(async () => {
  const signature = await connection.requestAirdrop(payer.publicKey, 10 * LAMPORTS_PER_SOL);
  const latest = await connection.getLatestBlockhash();
  const result = await connection.confirmTransaction({ signature, ...latest });
  assert.equal(result.value.err, null);
});

test("an airdrop is in the balance", async () => {
  assert.equal(await connection.getBalance(payer.publicKey), 10 * LAMPORTS_PER_SOL);
});

test("sendAndConfirmTransaction transfers", async () => {
  const to = Keypair.generate().publicKey;
  const signature = await sendAndConfirmTransaction(connection, transfer(to, 1_000_000), [payer]);
  assert.equal(await connection.getBalance(to), 1_000_000);
  const found = await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 });
  assert.equal(found.meta.fee, 5000);
  assert.equal(found.meta.err, null);
  const parsed = await connection.getParsedTransaction(signature, { maxSupportedTransactionVersion: 0 });
  assert.equal(parsed.transaction.message.instructions[0].parsed.type, "transfer");
  const listed = await connection.getSignaturesForAddress(to);
  assert.deepEqual(listed.map((one) => one.signature), [signature]);
});

test("a failing preflight carries its logs", async () => {
  const to = Keypair.generate().publicKey;
  await assert.rejects(
    sendAndConfirmTransaction(connection, transfer(to, 1000 * LAMPORTS_PER_SOL), [payer]),
    (error) => {
      assert.ok(error instanceof SendTransactionError);
      assert.match(error.message, /Simulation failed/);
      assert.ok(error.logs.some((line) => line.includes("insufficient lamports")));
      return true;
    },
  );
});

test("a failing transaction that skips the preflight fails at its confirmation", async () => {
  const to = Keypair.generate().publicKey;
  await assert.rejects(
    sendAndConfirmTransaction(connection, transfer(to, 1000 * LAMPORTS_PER_SOL), [payer], { skipPreflight: true }),
    // web3.js throws the bare error or one that quotes it, whichever of its ways to confirm was first.
    (error) => `${error.message} ${JSON.stringify(error)}`.includes("InstructionError"),
  );
});

test("accounts and logs are told to subscribers", async () => {
  const to = Keypair.generate().publicKey;
  let account, logs;
  const changed = first((resolve) => (account = connection.onAccountChange(to, resolve, { commitment: "confirmed" })));
  const logged = first((resolve) => (logs = connection.onLogs(to, resolve, "processed")));
  // Subscriptions are confirmed before anything happens.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const signature = await sendAndConfirmTransaction(connection, transfer(to, 2_000_000), [payer]);
  assert.equal((await changed).lamports, 2_000_000);
  assert.equal((await logged).signature, signature);
  await connection.removeAccountChangeListener(account);
  await connection.removeOnLogsListener(logs);
});

test("slots and roots go on", async () => {
  let id;
  const slot = await first((resolve) => (id = connection.onSlotChange(resolve)));
  assert.equal(slot.parent, slot.slot - 1);
  await connection.removeSlotChangeListener(id);
});

test("simulation shows accounts without changing them", async () => {
  const to = Keypair.generate().publicKey;
  const { blockhash } = await connection.getLatestBlockhash();
  const message = new TransactionMessage({
    payerKey: payer.publicKey,
    recentBlockhash: blockhash,
    instructions: [SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: to, lamports: 5_000_000 })],
  }).compileToV0Message();
  const result = await connection.simulateTransaction(new VersionedTransaction(message), {
    replaceRecentBlockhash: true,
    accounts: { encoding: "base64", addresses: [to.toBase58()] },
  });
  assert.equal(result.value.err, null);
  assert.equal(result.value.accounts[0].lamports, 5_000_000);
  assert.equal(await connection.getBalance(to), 0);
});

test("a versioned transaction uses an address lookup table", async () => {
  const slot = await connection.getSlot("finalized");
  const [create, table] = AddressLookupTableProgram.createLookupTable({
    authority: payer.publicKey,
    payer: payer.publicKey,
    recentSlot: slot - 1,
  });
  const to = Keypair.generate().publicKey;
  const extend = AddressLookupTableProgram.extendLookupTable({
    lookupTable: table,
    authority: payer.publicKey,
    payer: payer.publicKey,
    addresses: [to],
  });
  await sendAndConfirmTransaction(connection, new Transaction().add(create, extend), [payer]);
  // A table serves from the slot after the one that extended it.
  const extended = await connection.getSlot("processed");
  while ((await connection.getSlot("processed")) <= extended + 1) await new Promise((done) => setTimeout(done, 100));
  const { value } = await connection.getAddressLookupTable(table);
  assert.deepEqual(value.state.addresses.map(String), [to.toBase58()]);
  const { blockhash, lastValidBlockHeight } = await connection.getLatestBlockhash();
  const message = new TransactionMessage({
    payerKey: payer.publicKey,
    recentBlockhash: blockhash,
    instructions: [SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: to, lamports: 3_000_000 })],
  }).compileToV0Message([value]);
  assert.equal(message.addressTableLookups.length, 1);
  const transaction = new VersionedTransaction(message);
  transaction.sign([payer]);
  const signature = await connection.sendTransaction(transaction);
  const confirmed = await connection.confirmTransaction({ signature, blockhash, lastValidBlockHeight });
  assert.equal(confirmed.value.err, null);
  assert.equal(await connection.getBalance(to), 3_000_000);
  const found = await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 });
  assert.deepEqual(found.meta.loadedAddresses.writable.map(String), [to.toBase58()]);
});

test("blocks hold their transactions", async () => {
  const to = Keypair.generate().publicKey;
  const signature = await sendAndConfirmTransaction(connection, transfer(to, 1_000_000), [payer]);
  const { slot } = (await connection.getSignatureStatus(signature)).value;
  const block = await connection.getBlock(slot, { maxSupportedTransactionVersion: 0 });
  assert.ok(block.transactions.some((one) => one.transaction.signatures[0] === signature));
  const parent = await connection.getBlock(slot - 1, { maxSupportedTransactionVersion: 0 });
  assert.equal(block.previousBlockhash, parent.blockhash);
});

test("the chain tells about itself", async () => {
  assert.ok((await connection.getVersion())["solana-core"]);
  assert.ok((await connection.getEpochInfo()).absoluteSlot > 0);
  assert.equal(await connection.getMinimumBalanceForRentExemption(165), 2_039_280);
  assert.ok((await connection.getSupply()).value.total > 0);
  assert.ok(await connection.isBlockhashValid((await connection.getLatestBlockhash()).blockhash));
  const clock = await connection.getParsedAccountInfo(new PublicKey("SysvarC1ock11111111111111111111111111111111"));
  assert.equal(clock.value.data.parsed.type, "clock");
});
