import assert from "node:assert/strict";
import test from "node:test";
import { DecodeError, fromBase58, fromBase64, toBase58, toBase64, toHex } from "./page/codec.js";
import { bytes, contract, vectors } from "./vectors.js";

test("a session's fields are those that the package wrote", () => {
  const { data, players, player1, entity, seed } = vectors.session;
  const session = contract.session(bytes(data));
  assert.deepEqual(session.players, players);
  assert.deepEqual([session.status, session.frame, session.max_frames, session.stage], [2, 4_000_000_000, 28_800, 31]);
  assert.deepEqual([session.player1, session.entity], [player1, entity]);
  assert.equal(session.seed, BigInt(seed));
  assert.equal(session.created_at, -5n);
});

test("an input buffer tells who is ready, for this frame and the next", () => {
  const buffer = contract.inputs(bytes(vectors.inputs.data));
  assert.equal(buffer.frame, 9);
  assert.deepEqual([buffer.ready, buffer.nextReady], [[true, false], [false, true]]);
  assert.deepEqual(buffer.inputs[0], { stick_x: 80, stick_y: -80, c_stick_x: 0, c_stick_y: 0, trigger_l: 255,
    trigger_r: 0, buttons: 5, buttons_ext: 4 });
});

test("a record has frame, players, inputs and where they came from", () => {
  const record = contract.record(bytes(vectors.record.data));
  assert.equal(record.frame, 3);
  assert.deepEqual(record.sources, [1, 2]);
  assert.deepEqual([record.inputs[0].stick_x, record.inputs[1].c_stick_x, record.inputs[1].trigger_r], [-80, -128, 9]);
  assert.equal(record.players[1].x, (-7681 - 1) / 256);
});

test("what is no such account is refused", () => {
  const data = bytes(vectors.session.data);
  assert.throws(() => contract.session(data.subarray(0, data.length - 1)), DecodeError);
  assert.throws(() => contract.session(bytes(vectors.inputs.data)), DecodeError);
  const other = data.slice();
  other[0] ^= 1;
  assert.throws(() => contract.session(other), /another kind/);
});

test("a struct survives decoding and encoding", () => {
  for (const [layout, data] of [["SessionState", vectors.session.data], ["InputBuffer", vectors.inputs.data], ["FrameRecord", vectors.record.data]]) {
    const decoded = contract.layouts[layout].decode(bytes(data));
    assert.equal(toHex(contract.layouts[layout].encode(decoded)), data);
  }
  assert.throws(() => contract.layouts.InputArgs.encode({ input: new Uint8Array(7) }), DecodeError);
});

test("frame 0 is the package's", () => {
  assert.equal(toHex(contract.startPlayers), vectors.start);
});

test("action words are the package's, for every state", () => {
  vectors.actions.forEach((word, state) => assert.equal(contract.action(state), word));
});

test("base58 goes both ways, and refuses what is none", () => {
  for (const [hex, text] of vectors.keys) {
    assert.equal(toBase58(bytes(hex)), text);
    assert.equal(toHex(fromBase58(text)), hex);
  }
  for (const text of ["", "0", "O", "1".repeat(31), "1".repeat(33), "z".repeat(44), "é"]) {
    assert.throws(() => fromBase58(text), DecodeError);
  }
});

test("base64 goes both ways", () => {
  for (const size of [0, 1, 2, 3, 200]) {
    const data = Uint8Array.from({ length: size }, (_, at) => (at * 37) & 255);
    assert.equal(toBase64(data), Buffer.from(data).toString("base64"));
    assert.deepEqual(fromBase64(toBase64(data)), data);
  }
});

test("noise and cut-off accounts are refused as such, and never read past their end", () => {
  let state = 1;
  const noise = () => (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16 & 255;
  const whole = { session: vectors.session.data, inputs: vectors.inputs.data, record: vectors.record.data };
  for (const [decoder, hex] of Object.entries(whole)) {
    const data = bytes(hex);
    for (let size = 0; size < data.length; size++) assert.throws(() => contract[decoder](data.subarray(0, size)), DecodeError);
    for (let round = 0; round < 200; round++) {
      const spoilt = data.slice();
      for (let n = 0; n < 4; n++) spoilt[noise() % spoilt.length] = noise();
      try {
        contract[decoder](spoilt);
      } catch (error) {
        assert.ok(error instanceof DecodeError, error.stack);
      }
    }
  }
});
