// Calls of @solana/web3.js against an endpoint: node web3.cjs HTTP WS. Prints what failed, as JSON: call → message.
const w = require("@solana/web3.js");
const [http, ws] = process.argv.slice(2);
const c = new w.Connection(http, { commitment: "confirmed", wsEndpoint: ws });
const failed = {};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const within = (promise, ms) => Promise.race([promise, sleep(ms).then(() => { throw new Error("timeout"); })]);

async function call(name, make) {
  try {
    return await within(make(), 20000);
  } catch (error) {
    failed[name] = `${error.name}: ${error.message}`;
  }
}

function notified(subscribe, unsubscribe) {
  return async () => {
    let id;
    try {
      return await within(new Promise((resolve) => { id = subscribe(resolve); }), 10000);
    } finally {
      await unsubscribe(id);
    }
  };
}

(async () => {
  const a = w.Keypair.generate(), b = w.Keypair.generate(), nonce = w.Keypair.generate();
  const pay = (lamports) => w.SystemProgram.transfer({ fromPubkey: a.publicKey, toPubkey: b.publicKey, lamports });
  await call("airdrop", async () => c.confirmTransaction(await c.requestAirdrop(a.publicKey, 10 * w.LAMPORTS_PER_SOL)));
  const signature = await call("transfer", () =>
    w.sendAndConfirmTransaction(c, new w.Transaction().add(pay(5_000_000)), [a]));
  const anyVersion = { maxSupportedTransactionVersion: 0, commitment: "confirmed" };
  await call("getParsedTransaction", () => c.getParsedTransaction(signature, anyVersion));
  await call("getParsedAccountInfo", () => c.getParsedAccountInfo(w.SYSVAR_CLOCK_PUBKEY));
  for (const name of ["getLeaderSchedule", "getClusterNodes", "getVoteAccounts", "getSupply", "getLargestAccounts",
    "getInflationRate", "getInflationGovernor", "getRecentPerformanceSamples", "getBlockProduction",
    "getStakeMinimumDelegation", "getEpochSchedule", "getVersion"]) await call(name, () => c[name]());
  const tokens = { programId: new w.PublicKey("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA") };
  await call("getParsedTokenAccountsByOwner", () => c.getParsedTokenAccountsByOwner(a.publicKey, tokens));
  await call("create nonce", async () => {
    const lamports = await c.getMinimumBalanceForRentExemption(w.NONCE_ACCOUNT_LENGTH);
    const made = new w.Transaction().add(
      w.SystemProgram.createNonceAccount({ fromPubkey: a.publicKey, noncePubkey: nonce.publicKey, authorizedPubkey: a.publicKey, lamports }));
    return w.sendAndConfirmTransaction(c, made, [a, nonce]);
  });
  await call("send by nonce", async () => {
    const { value, context } = await c.getNonceAndContext(nonce.publicKey);
    const nonceInstruction = w.SystemProgram.nonceAdvance({ noncePubkey: nonce.publicKey, authorizedPubkey: a.publicKey });
    const durable = new w.Transaction({ feePayer: a.publicKey, nonceInfo: { nonce: value.nonce, nonceInstruction } });
    durable.add(pay(1_000_000)).sign(a);
    const sent = await c.sendRawTransaction(durable.serialize());
    const strategy = { signature: sent, minContextSlot: context.slot, nonceAccountPubkey: nonce.publicKey, nonceValue: value.nonce };
    const { value: status } = await c.confirmTransaction(strategy);
    if (status.err) throw new Error(JSON.stringify(status.err));
  });
  await call("onSlotUpdate", notified((f) => c.onSlotUpdate(f), (id) => c.removeSlotUpdateListener(id)));
  await call("onRootChange", notified((f) => c.onRootChange(f), (id) => c.removeRootChangeListener(id)));
  process.stdout.write(JSON.stringify(failed), () => process.exit(0));
})();
