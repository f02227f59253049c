// Token-2022 with its extensions, by @solana/spl-token: what it reads off the bytes is what the RPC has parsed.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Connection, Keypair, LAMPORTS_PER_SOL, SystemProgram, Transaction, sendAndConfirmTransaction } from "@solana/web3.js";
import * as token from "@solana/spl-token";
import { url, wsUrl } from "./environment.js";

const { ExtensionType, TOKEN_2022_PROGRAM_ID: PROGRAM } = token;
const connection = new Connection(url, { commitment: "confirmed", wsEndpoint: wsUrl });
const payer = Keypair.generate();
const owner = payer.publicKey;

before(async () => {
  const signature = await connection.requestAirdrop(owner, 100 * LAMPORTS_PER_SOL);
  await connection.confirmTransaction({ signature, ...(await connection.getLatestBlockhash()) });
});

async function makeMint(types, instructions) {
  const mint = Keypair.generate();
  const space = token.getMintLen(types);
  const create = SystemProgram.createAccount({
    fromPubkey: owner,
    newAccountPubkey: mint.publicKey,
    space,
    lamports: await connection.getMinimumBalanceForRentExemption(space),
    programId: PROGRAM,
  });
  const initialize = token.createInitializeMint2Instruction(mint.publicKey, 2, owner, owner, PROGRAM);
  const transaction = new Transaction().add(create, ...instructions(mint.publicKey), initialize);
  const signature = await sendAndConfirmTransaction(connection, transaction, [payer, mint]);
  return [mint.publicKey, signature];
}

async function extensions(key) {
  const parsed = (await connection.getParsedAccountInfo(key)).value.data.parsed;
  return Object.fromEntries(parsed.info.extensions.map((one) => [one.extension, one.state]));
}

const text = String(owner);
const CASES = {
  transferFeeConfig: [
    ExtensionType.TransferFeeConfig,
    (mint) => token.createInitializeTransferFeeConfigInstruction(mint, owner, owner, 50, 5_000n, PROGRAM),
    (state) => assert.deepEqual(
      [state.newerTransferFee.transferFeeBasisPoints, state.newerTransferFee.maximumFee, state.withdrawWithheldAuthority],
      [50, 5000, text],
    ),
  ],
  mintCloseAuthority: [
    ExtensionType.MintCloseAuthority,
    (mint) => token.createInitializeMintCloseAuthorityInstruction(mint, owner, PROGRAM),
    (state) => assert.deepEqual(state, { closeAuthority: text }),
  ],
  defaultAccountState: [
    ExtensionType.DefaultAccountState,
    (mint) => token.createInitializeDefaultAccountStateInstruction(mint, token.AccountState.Frozen, PROGRAM),
    (state) => assert.deepEqual(state, { accountState: "frozen" }),
  ],
  nonTransferable: [
    ExtensionType.NonTransferable,
    (mint) => token.createInitializeNonTransferableMintInstruction(mint, PROGRAM),
    (state) => assert.equal(state, undefined),
  ],
  interestBearingConfig: [
    ExtensionType.InterestBearingConfig,
    (mint) => token.createInitializeInterestBearingMintInstruction(mint, owner, 300, PROGRAM),
    (state) => assert.deepEqual([state.rateAuthority, state.currentRate], [text, 300]),
  ],
  permanentDelegate: [
    ExtensionType.PermanentDelegate,
    (mint) => token.createInitializePermanentDelegateInstruction(mint, owner, PROGRAM),
    (state) => assert.deepEqual(state, { delegate: text }),
  ],
  metadataPointer: [
    ExtensionType.MetadataPointer,
    (mint) => token.createInitializeMetadataPointerInstruction(mint, owner, mint, PROGRAM),
    (state, mint) => assert.deepEqual(state, { authority: text, metadataAddress: String(mint) }),
  ],
  groupPointer: [
    ExtensionType.GroupPointer,
    (mint) => token.createInitializeGroupPointerInstruction(mint, owner, mint, PROGRAM),
    (state, mint) => assert.deepEqual(state, { authority: text, groupAddress: String(mint) }),
  ],
  groupMemberPointer: [
    ExtensionType.GroupMemberPointer,
    (mint) => token.createInitializeGroupMemberPointerInstruction(mint, owner, mint, PROGRAM),
    (state, mint) => assert.deepEqual(state, { authority: text, memberAddress: String(mint) }),
  ],
  transferHook: [
    ExtensionType.TransferHook,
    (mint) => token.createInitializeTransferHookInstruction(mint, owner, token.TOKEN_PROGRAM_ID, PROGRAM),
    (state) => assert.deepEqual(state, { authority: text, programId: String(token.TOKEN_PROGRAM_ID) }),
  ],
};

for (const [name, [type, instruction, check]] of Object.entries(CASES)) {
  test(`a mint with ${name}`, async () => {
    const [mint] = await makeMint([type], (key) => [instruction(key)]);
    const found = await extensions(mint);
    assert.deepEqual(Object.keys(found), [name]);
    check(found[name], mint);
  });
}

test("extensions of accounts, and the fee that one withholds", async () => {
  const [mint] = await makeMint([ExtensionType.TransferFeeConfig], (key) => [
    token.createInitializeTransferFeeConfigInstruction(key, owner, owner, 100, 1_000n, PROGRAM),
  ]);
  const other = Keypair.generate().publicKey;
  const associated = [];
  for (const holder of [owner, other]) {
    associated.push(
      (await token.getOrCreateAssociatedTokenAccount(connection, payer, mint, holder, false, "confirmed", {}, PROGRAM))
        .address,
    );
  }
  const [from, to] = associated;
  await token.mintTo(connection, payer, mint, from, payer, 100_000n, [], {}, PROGRAM);
  await token.transferCheckedWithFee(connection, payer, from, mint, to, payer, 10_000n, 2, 100n, [], {}, PROGRAM);
  const found = await extensions(to);
  assert.deepEqual(found.transferFeeAmount, { withheldAmount: 100 });
  assert.ok("immutableOwner" in found);
  const read = await token.getAccount(connection, to, "confirmed", PROGRAM);
  assert.equal(token.getTransferFeeAmount(read).withheldAmount, 100n);
});
