// Longer flows of @solana/web3.js 1.x: durable nonces, stake, lookup tables, and failures that are there at once.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import {
  AddressLookupTableProgram,
  Authorized,
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  NONCE_ACCOUNT_LENGTH,
  NonceAccount,
  PublicKey,
  StakeProgram,
  SystemProgram,
  Transaction,
  sendAndConfirmTransaction,
} from "@solana/web3.js";
import { url, wsUrl } from "./environment.js";

const connection = new Connection(url, { commitment: "confirmed", wsEndpoint: wsUrl });
const payer = Keypair.generate();

const transfer = (to, lamports) =>
  SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: to, lamports });

function confirmed(what, ...signers) {
  const transaction = what instanceof Transaction ? what : new Transaction().add(what);
  return sendAndConfirmTransaction(connection, transaction, [payer, ...signers]);
}

async function parsed(key) {
  return (await connection.getParsedAccountInfo(key)).value?.data.parsed;
}

before(async () => {
  const signature = await connection.requestAirdrop(payer.publicKey, 100 * LAMPORTS_PER_SOL);
  await connection.confirmTransaction({ signature, ...(await connection.getLatestBlockhash()) });
});

test("a failure is told to whoever asks for its confirmation, however early it happened", async () => {
  for (let round = 0; round < 5; round += 1) {
    const latest = await connection.getLatestBlockhash();
    const poor = new Transaction({ feePayer: payer.publicKey, ...latest }).add(
      transfer(Keypair.generate().publicKey, 1_000_000 * LAMPORTS_PER_SOL + round),
    );
    const signature = await connection.sendTransaction(poor, [payer], { skipPreflight: true });
    const result = await connection.confirmTransaction({ signature, ...latest });
    assert.deepEqual(result.value.err, { InstructionError: [0, { Custom: 1 }] });
  }
});

test("a nonce: created, used after long, advanced, authorized anew, withdrawn", async () => {
  const account = Keypair.generate();
  const heir = Keypair.generate();
  const rent = await connection.getMinimumBalanceForRentExemption(NONCE_ACCOUNT_LENGTH);
  await confirmed(
    SystemProgram.createNonceAccount({
      fromPubkey: payer.publicKey,
      noncePubkey: account.publicKey,
      authorizedPubkey: payer.publicKey,
      lamports: rent,
    }),
    account,
  );
  const { context, value: nonce } = await connection.getNonceAndContext(account.publicKey);
  const info = await connection.getAccountInfo(account.publicKey);
  assert.equal(NonceAccount.fromAccountData(info.data).nonce, nonce.nonce);
  assert.equal((await parsed(account.publicKey)).info.blockhash, nonce.nonce);
  const target = Keypair.generate().publicKey;
  const advance = (authorized) =>
    SystemProgram.nonceAdvance({ noncePubkey: account.publicKey, authorizedPubkey: authorized });
  const nonceInfo = { nonce: nonce.nonce, nonceInstruction: advance(payer.publicKey) };
  const used = new Transaction({ feePayer: payer.publicKey, nonceInfo, minContextSlot: context.slot }).add(
    transfer(target, LAMPORTS_PER_SOL),
  );
  used.recentBlockhash = nonce.nonce;
  used.sign(payer);
  assert.equal((await connection.getFeeForMessage(used.compileMessage())).value, 5000);
  assert.equal((await connection.simulateTransaction(used)).value.err, null);
  const signature = await sendAndConfirmTransaction(connection, used, [payer]);
  assert.equal(await connection.getBalance(target), LAMPORTS_PER_SOL);
  assert.equal((await connection.getTransaction(signature)).meta.err, null);
  const after = await connection.getNonce(account.publicKey);
  assert.notEqual(after.nonce, nonce.nonce);
  // What was used is void.
  assert.equal((await connection.getFeeForMessage(used.compileMessage())).value, null);
  await confirmed(
    SystemProgram.nonceAuthorize({
      noncePubkey: account.publicKey,
      authorizedPubkey: payer.publicKey,
      newAuthorizedPubkey: heir.publicKey,
    }),
  );
  assert.equal((await parsed(account.publicKey)).info.authority, heir.publicKey.toBase58());
  await confirmed(
    SystemProgram.nonceWithdraw({
      noncePubkey: account.publicKey,
      authorizedPubkey: heir.publicKey,
      toPubkey: payer.publicKey,
      lamports: rent,
    }),
    heir,
  );
  assert.equal(await connection.getAccountInfo(account.publicKey), null);
});

test("a lookup table: created, extended, read, deactivated", async () => {
  const recentSlot = await connection.getSlot("confirmed");
  const owner = payer.publicKey;
  const [create, table] = AddressLookupTableProgram.createLookupTable({ authority: owner, payer: owner, recentSlot });
  const addresses = [Keypair.generate().publicKey, Keypair.generate().publicKey];
  const options = { authority: owner, payer: owner, lookupTable: table, addresses };
  await confirmed(new Transaction().add(create, AddressLookupTableProgram.extendLookupTable(options)));
  const { value } = await connection.getAddressLookupTable(table);
  assert.deepEqual(value.state.addresses.map(String), addresses.map(String));
  assert.equal((await parsed(table)).info.authority, owner.toBase58());
  await confirmed(
    new Transaction().add(AddressLookupTableProgram.deactivateLookupTable({ authority: owner, lookupTable: table })),
  );
  assert.notEqual((await parsed(table)).info.deactivationSlot, "18446744073709551615");
});

test("stake: created, delegated to the operator's vote account, deactivated, withdrawn", async () => {
  const { current, delinquent } = await connection.getVoteAccounts();
  assert.equal(delinquent.length, 0);
  const votePubkey = new PublicKey(current[0].votePubkey);
  const vote = await parsed(votePubkey);
  assert.equal(vote.info.nodePubkey, current[0].nodePubkey);
  const stake = Keypair.generate();
  const rent = await connection.getMinimumBalanceForRentExemption(StakeProgram.space);
  const owner = payer.publicKey;
  const lamports = rent + 2 * LAMPORTS_PER_SOL;
  const authorized = new Authorized(owner, owner);
  await confirmed(
    StakeProgram.createAccount({ fromPubkey: owner, stakePubkey: stake.publicKey, authorized, lamports }),
    stake,
  );
  assert.equal((await parsed(stake.publicKey)).type, "initialized");
  const common = { stakePubkey: stake.publicKey, authorizedPubkey: owner };
  const delegated = await confirmed(StakeProgram.delegate({ ...common, votePubkey }));
  const seen = await connection.getParsedTransaction(delegated);
  const [instruction] = seen.transaction.message.instructions;
  assert.deepEqual([instruction.program, instruction.parsed.type], ["stake", "delegate"]);
  assert.equal(instruction.parsed.info.voteAccount, votePubkey.toBase58());
  const state = await parsed(stake.publicKey);
  assert.equal(state.type, "delegated");
  assert.equal(state.info.stake.delegation.voter, votePubkey.toBase58());
  assert.equal(state.info.stake.delegation.stake, String(2 * LAMPORTS_PER_SOL));
  await confirmed(StakeProgram.deactivate(common));
  assert.notEqual((await parsed(stake.publicKey)).info.stake.delegation.deactivationEpoch, "18446744073709551615");
  // It was never active, so it can be had back at once.
  await confirmed(StakeProgram.withdraw({ ...common, toPubkey: owner, lamports }));
  assert.equal(await connection.getAccountInfo(stake.publicKey), null);
});
