import assert from "node:assert/strict";
import test from "node:test";
import { fromBase64, toHex } from "./page/codec.js";
import { computeLimit, findWorld, join, sessionAccounts, submitInput, transaction } from "./page/chain.js";
import { signer } from "./page/crypto.js";
import { bytes, contract, vectors } from "./vectors.js";

const { pda, transactions, crypto, worlds } = vectors;
const key = await signer(bytes(crypto.seed), undefined);
const names = { player: key.text, world: transactions.world, entity: pda.entity };

// the keys of a legacy message may be in any order within their rank, so the test compares the meaning
function read(hex) {
  const data = bytes(hex);
  let at = 65;
  const [signers, readOnlySigners, readOnly] = data.subarray(at, at + 3);
  at += 3;
  const count = data[at++];
  const keys = Array.from({ length: count }, (_, n) => toHex(data.subarray(at + 32 * n, at + 32 * n + 32)));
  at += 32 * count;
  const blockhash = toHex(data.subarray(at, (at += 32)));
  const role = (n) => `${keys[n]} ${n < signers ? "signs" : ""} ${n < count - readOnly ? "writable" : ""}`;
  const instructions = Array.from({ length: data[at++] }, () => {
    const program = keys[data[at++]];
    const accounts = Array.from(data.subarray(at + 1, at + 1 + data[at]), role);
    at += 1 + data[at];
    let length = data[at++];
    if (length & 128) length = (length & 127) | (data[at++] << 7);
    return { program, accounts, data: toHex(data.subarray(at, (at += length))) };
  });
  assert.equal(at, data.length);
  return { signers, readOnlySigners, readOnly, payer: keys[0], count, blockhash, instructions };
}

test("a session's accounts are derived from its entity", () => {
  const { session_state, hidden_state, input_buffer, frame_log } = pda;
  assert.deepEqual(sessionAccounts(contract, pda.entity), { session_state, hidden_state, input_buffer, frame_log });
});

test("transactions say what solders' say, and are signed", async () => {
  const input = bytes(transactions.input);
  for (const [name, instruction] of [
    ["submit", submitInput(contract, { ...names, input, frame: 10 })],
    ["join", join(contract, { ...names, character: 20 })],
  ]) {
    const { wire } = await transaction(key, [computeLimit(contract), instruction], transactions.blockhash);
    const made = fromBase64(wire);
    assert.deepEqual(read(toHex(made)), read(transactions[name]));
    assert.equal(toHex(made.subarray(1, 65)), toHex(await key.sign(made.subarray(65))));
  }
});

test("two inputs alike are two transactions", async () => {
  const submit = submitInput(contract, { ...names, input: bytes(transactions.input) });
  const ids = new Set();
  for (let n = 0; n < 3; n++) ids.add((await transaction(key, [computeLimit(contract), submit], transactions.blockhash)).id);
  assert.equal(ids.size, 3);
});

test("the world to play in is guarded and runs the systems, or else the first that runs them", async () => {
  const registry = new Uint8Array(16);
  registry[8] = 2;
  const chain = { [pda.registry]: registry, [pda.worlds[0]]: bytes(worlds.shut), [pda.worlds[1]]: bytes(worlds.open) };
  const rpc = { accounts: async (keys) => keys.map((each) => chain[each] ?? null) };
  assert.equal(await findWorld(rpc, contract), pda.worlds[1]);
  chain[pda.worlds[0]] = bytes(worlds.partly);
  assert.equal(await findWorld(rpc, contract), pda.worlds[1]);
  registry[8] = 3;
  chain[pda.worlds[2]] = bytes(worlds.guarded);
  assert.equal(await findWorld(rpc, contract), pda.worlds[2]);
  delete chain[pda.worlds[2]];
  delete chain[pda.worlds[1]];
  assert.equal(await findWorld(rpc, contract), null);
  assert.equal(await findWorld({ accounts: async () => [null] }, contract), null);
});
