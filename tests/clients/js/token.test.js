// @solana/spl-token: a mint, its tokens, and what the RPC tells of them.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Connection, Keypair, LAMPORTS_PER_SOL } from "@solana/web3.js";
import {
  TOKEN_2022_PROGRAM_ID,
  TOKEN_PROGRAM_ID,
  approve,
  createMint,
  getAccount,
  getMint,
  getOrCreateAssociatedTokenAccount,
  mintTo,
  transfer,
} from "@solana/spl-token";
import { url, wsUrl } from "./environment.js";

const connection = new Connection(url, { commitment: "confirmed", wsEndpoint: wsUrl });
const payer = Keypair.generate();

before(async () => {
  const signature = await connection.requestAirdrop(payer.publicKey, 10 * LAMPORTS_PER_SOL);
  await connection.confirmTransaction({ signature, ...(await connection.getLatestBlockhash()) });
});

for (const [name, program] of [
  ["SPL Token", TOKEN_PROGRAM_ID],
  ["Token-2022", TOKEN_2022_PROGRAM_ID],
]) {
  test(`${name}: create a mint, mint, transfer, look`, async () => {
    const options = [undefined, undefined, program];
    const mint = await createMint(connection, payer, payer.publicKey, null, 6, ...options);
    const owner = Keypair.generate();
    const from = await getOrCreateAssociatedTokenAccount(
      connection, payer, mint, payer.publicKey, false, "confirmed", undefined, program,
    );
    const to = await getOrCreateAssociatedTokenAccount(
      connection, payer, mint, owner.publicKey, false, "confirmed", undefined, program,
    );
    await mintTo(connection, payer, mint, from.address, payer, 5_000_000, [], undefined, program);
    const signature = await transfer(connection, payer, from.address, to.address, payer, 1_500_000, [], undefined, program);
    assert.equal((await getAccount(connection, to.address, "confirmed", program)).amount, 1_500_000n);
    assert.equal((await getMint(connection, mint, "confirmed", program)).supply, 5_000_000n);

    const balance = await connection.getTokenAccountBalance(to.address);
    assert.deepEqual([balance.value.amount, balance.value.uiAmountString], ["1500000", "1.5"]);
    assert.equal((await connection.getTokenSupply(mint)).value.uiAmount, 5);
    const owned = await connection.getParsedTokenAccountsByOwner(owner.publicKey, { mint });
    assert.equal(owned.value[0].account.data.parsed.info.tokenAmount.uiAmountString, "1.5");
    const largest = await connection.getTokenLargestAccounts(mint);
    assert.deepEqual(largest.value.map((one) => one.uiAmount), [3.5, 1.5]);
    const held = await connection.getProgramAccounts(program, {
      filters: [{ memcmp: { offset: 0, bytes: mint.toBase58() } }],
    });
    assert.equal(held.length, 2);

    const meta = (await connection.getParsedTransaction(signature, { maxSupportedTransactionVersion: 0 })).meta;
    assert.equal(meta.postTokenBalances.length, 2);
    assert.equal(meta.postTokenBalances.find((one) => one.owner === owner.publicKey.toBase58()).uiTokenAmount.amount, "1500000");

    const delegate = Keypair.generate().publicKey;
    await approve(connection, payer, from.address, delegate, payer, 7n, [], undefined, program);
    const url_ = connection.rpcEndpoint;
    const answer = await fetch(url_, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        jsonrpc: "2.0", id: 1, method: "getTokenAccountsByDelegate",
        params: [delegate.toBase58(), { programId: program.toBase58() }, { encoding: "jsonParsed", commitment: "confirmed" }],
      }),
    });
    const { result } = await answer.json();
    assert.equal(result.value[0].account.data.parsed.info.delegatedAmount.amount, "7");
  });
}
