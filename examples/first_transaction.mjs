// Your first transaction, built, signed and sent with @solana/web3.js: the twin of first_transaction.py.
//
//     trunkline up                              # in one terminal
//     npm install --no-save @solana/web3.js     # in another, once
//     node examples/first_transaction.mjs       # or with the address that `up` printed behind "RPC"
//
// A new key gets 2 SOL from the faucet, sends half a SOL to another one, and waits until that is final.

import {
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  SystemProgram,
  Transaction,
  sendAndConfirmTransaction,
} from "@solana/web3.js";

const connection = new Connection(process.argv[2] ?? "http://127.0.0.1:8899", "finalized");
const sender = Keypair.generate();
const receiver = Keypair.generate();

const airdrop = await connection.requestAirdrop(sender.publicKey, 2 * LAMPORTS_PER_SOL);
await connection.confirmTransaction({ signature: airdrop, ...(await connection.getLatestBlockhash()) });

const transaction = new Transaction().add(
  SystemProgram.transfer({
    fromPubkey: sender.publicKey,
    toPubkey: receiver.publicKey,
    lamports: LAMPORTS_PER_SOL / 2,
  }),
);
const signature = await sendAndConfirmTransaction(connection, transaction, [sender]);
console.log(`sent      ${signature}`);

const { value: status } = await connection.getSignatureStatus(signature, { searchTransactionHistory: true });
console.log(`${status.confirmationStatus === "finalized" ? "final    " : status.confirmationStatus} in slot ${status.slot}`);
for (const [name, key] of Object.entries({ sender, receiver })) {
  console.log(`${name.padEnd(9)} ${key.publicKey.toBase58()} has ${await connection.getBalance(key.publicKey)} lamports`);
}
