// Deploying a program the way the Solana tools do: a buffer, writes, a deploy by the upgradeable loader.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  PublicKey,
  SYSVAR_CLOCK_PUBKEY,
  SYSVAR_RENT_PUBKEY,
  SystemProgram,
  Transaction,
  TransactionInstruction,
  sendAndConfirmTransaction,
} from "@solana/web3.js";
import { url, wsUrl } from "./environment.js";

const connection = new Connection(url, { commitment: "confirmed", wsEndpoint: wsUrl });
const LOADER = new PublicKey("BPFLoaderUpgradeab1e11111111111111111111111");
const MEMO = new PublicKey("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
const BUFFER_HEADER = 37;
const PROGRAM_BYTES = 36;
const PROGRAM_DATA_HEADER = 45;
const CHUNK = 900;

/** The compiled memo program, read from the ledger that already runs it. */
async function compiled() {
  const account = await connection.getAccountInfo(MEMO);
  if (!account.owner.equals(LOADER)) return account.data;
  const data = await connection.getAccountInfo(new PublicKey(account.data.subarray(4, 36)));
  return data.data.subarray(PROGRAM_DATA_HEADER);
}

function words(tag, ...parts) {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(tag);
  return Buffer.concat([head, ...parts]);
}

function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const key = (pubkey, isWritable, isSigner = false) => ({ pubkey, isWritable, isSigner });

test("a program is deployed and called", async () => {
  const payer = Keypair.generate();
  const airdrop = await connection.requestAirdrop(payer.publicKey, 100 * LAMPORTS_PER_SOL);
  await connection.confirmTransaction({ signature: airdrop, ...(await connection.getLatestBlockhash()) });
  const send = (instructions, signers = []) =>
    sendAndConfirmTransaction(connection, new Transaction().add(...instructions), [payer, ...signers], {
      commitment: "confirmed",
    });

  const elf = await compiled();
  assert.equal(elf.subarray(1, 4).toString(), "ELF");
  const [buffer, program] = [Keypair.generate(), Keypair.generate()];
  await send(
    [
      SystemProgram.createAccount({
        fromPubkey: payer.publicKey,
        newAccountPubkey: buffer.publicKey,
        lamports: await connection.getMinimumBalanceForRentExemption(BUFFER_HEADER + elf.length),
        space: BUFFER_HEADER + elf.length,
        programId: LOADER,
      }),
      new TransactionInstruction({
        programId: LOADER,
        keys: [key(buffer.publicKey, true), key(payer.publicKey, false)],
        data: words(0),
      }),
    ],
    [buffer],
  );
  const writes = [];
  for (let offset = 0; offset < elf.length; offset += CHUNK) {
    const part = elf.subarray(offset, offset + CHUNK);
    const keys = [key(buffer.publicKey, true), key(payer.publicKey, false, true)];
    const data = words(1, u32(offset), u64(part.length), part);
    writes.push(send([new TransactionInstruction({ programId: LOADER, keys, data })]));
  }
  await Promise.all(writes);

  const [programData] = PublicKey.findProgramAddressSync([program.publicKey.toBuffer()], LOADER);
  await send(
    [
      SystemProgram.createAccount({
        fromPubkey: payer.publicKey,
        newAccountPubkey: program.publicKey,
        lamports: await connection.getMinimumBalanceForRentExemption(PROGRAM_BYTES),
        space: PROGRAM_BYTES,
        programId: LOADER,
      }),
      new TransactionInstruction({
        programId: LOADER,
        keys: [
          key(payer.publicKey, true, true),
          key(programData, true),
          key(program.publicKey, true),
          key(buffer.publicKey, true),
          key(SYSVAR_RENT_PUBKEY, false),
          key(SYSVAR_CLOCK_PUBKEY, false),
          key(SystemProgram.programId, false),
          key(payer.publicKey, false, true),
        ],
        data: words(2, u64(elf.length)),
      }),
    ],
    [program],
  );
  assert.ok((await connection.getAccountInfo(program.publicKey)).executable);

  // As on any cluster, a new program can be called from the next slot on.
  const deployed = await connection.getSlot("processed");
  while ((await connection.getSlot("processed")) <= deployed) await new Promise((done) => setTimeout(done, 100));
  const call = new TransactionInstruction({ programId: program.publicKey, keys: [], data: Buffer.from("hello") });
  const signature = await send([call]);
  const { meta } = await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 });
  assert.ok(meta.logMessages.some((line) => line.includes("hello")), meta.logMessages.join("\n"));
});
