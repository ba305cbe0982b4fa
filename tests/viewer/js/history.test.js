import assert from "node:assert/strict";
import test from "node:test";
import { DecodeError } from "./page/codec.js";
import { History, parseMatchFile, readRing } from "./page/history.js";
import { bytes, contract, vectors } from "./vectors.js";

const rpcOf = (data) => ({ reads: [], async slice(_, offset, length) {
  this.reads.push(length);
  return data && data.subarray(offset, offset + length);
} });

test("a ring is read in order, whole, and wrapped around", async () => {
  for (const [name, first, last] of [["3/8", 1, 3], ["8/8", 1, 8], ["21/8", 14, 21]]) {
    const history = new History();
    assert.equal(await readRing(rpcOf(bytes(vectors.rings[name])), contract, "log", history), last - first + 1);
    assert.deepEqual([history.first, history.last], [first, last]);
    for (let n = first; n <= last; n++) assert.equal(history.get(n).frame, n);
    assert.equal(history.get(first - 1), null);
  }
});

test("only what is new is fetched", async () => {
  const history = new History();
  await readRing(rpcOf(bytes(vectors.rings["3/8"])), contract, "log", history);
  const rpc = rpcOf(bytes(vectors.rings["8/8"]));
  assert.equal(await readRing(rpc, contract, "log", history), 5);
  assert.deepEqual(rpc.reads, [112, 5 * 96]);
  assert.equal(await readRing(rpc, contract, "log", history), 0);
});

test("records of a world with extra feedback are read whole, as the hidden state says", async () => {
  for (const [size, data] of Object.entries(vectors.extra)) {
    const reads = [];
    const rpc = { async slice(key, offset, length) {
      reads.push([key, length]);
      return bytes(data[key === "hidden" ? "hidden" : "ring"]).subarray(offset, offset + length);
    } };
    const history = new History();
    assert.equal(await readRing(rpc, contract, "log", history, "hidden"), 8);
    for (let n = 14; n <= 21; n++) {
      assert.equal(history.get(n).frame, n);
      assert.deepEqual(history.get(n).sources, [1, 2]);
    }
    assert.equal(await readRing(rpc, contract, "log", history, "hidden"), 0);
    assert.equal(reads.filter(([key]) => key === "hidden").length, 1);
    assert.equal(history.recordSize, 96 + 2 * Number(size));
    const file = parseMatchFile(data.match, contract);
    assert.equal(file.meta.extra_size, Number(size));
    assert.equal(file.history.last, 5);
    assert.deepEqual(file.history.get(5).sources, [1, 2]);
  }
});

test("no frame log, no frames", async () => {
  assert.equal(await readRing(rpcOf(null), contract, "log", new History()), 0);
});

test("a record replaces what was only notified, and not the other way round", () => {
  const history = new History();
  history.add({ frame: 4, players: [] });
  history.add({ frame: 4, players: [], sources: [0, 0] });
  history.add({ frame: 4, players: [] });
  assert.ok(history.get(4).sources);
});

test("a gap shows the frame before it, and the oldest go in time", () => {
  const history = new History();
  for (const frame of [10, 12]) history.add({ frame });
  assert.equal(history.at(11).frame, 10);
  assert.equal(history.at(9), null);
  assert.equal(history.at(99).frame, 12);
  for (let frame = 13; frame < 40_000; frame++) history.add({ frame });
  assert.equal(history.last - history.first, 35_999);
  assert.equal(history.get(12), null);
});

test("a match file opens, with each frame's inputs", () => {
  const { meta, stage, history } = parseMatchFile(vectors.match, contract);
  assert.equal(meta.frames, 5);
  assert.equal(stage.name, "Final Destination");
  assert.deepEqual([history.first, history.last], [0, 5]);
  assert.equal(history.get(0).players[0].x, -30);
  assert.equal(history.get(0).inputs, undefined);
  assert.equal(history.get(5).inputs[0].stick_x, -80);
  assert.equal(history.get(5).players[0].x, JSON.parse(vectors.match).frames[5].players[0].x);
});

test("other files are refused, and told why", () => {
  const meta = '"meta":{"format":"awm-match/1","session":"s","player1":"a","player2":"b"}';
  for (const [text, why] of [["{", /not JSON/], ["null", /meta\.format/], ['{"meta":{"format":"other"}}', /expected awm-match/],
    ['{"meta":{"format":"awm-match/1"}}', /meta names no/], [`{${meta},"frames":[]}`, /no frames/],
    [`{${meta},"frames":[{"players":[{"x":1,"y":2}]}]}`, /frame 0/]]) {
    assert.throws(() => parseMatchFile(text, contract), why);
  }
});

// replaces every value of a match file, one after the other, by a wrong one
function* spoilt(value, path = []) {
  if (value && typeof value === "object") {
    for (const key of Object.keys(value)) yield* spoilt(value[key], [...path, key]);
  }
  if (path.length) yield path;
}

test("a spoilt file is refused by name, or shown with what is left of it", () => {
  const text = vectors.match;
  let refused = 0;
  for (const path of spoilt(JSON.parse(text))) {
    for (const wrong of [null, -1e9, "?", [], {}, "constructor"]) {
      const file = JSON.parse(text);
      path.slice(0, -1).reduce((part, key) => part[key], file)[path.at(-1)] = wrong;
      try {
        const { stage, history } = parseMatchFile(JSON.stringify(file), contract);
        assert.equal(typeof stage.name, "string");
        for (let n = history.first; n <= history.last; n++) {
          assert.ok(history.get(n).players.every((player) => Object.values(player).every(Number.isFinite)));
        }
      } catch (error) {
        assert.ok(error instanceof DecodeError, `${path.join(".")} = ${JSON.stringify(wrong)}: ${error.stack}`);
        refused++;
      }
    }
  }
  assert.ok(refused > 100);
});

test("a stage beyond all measure is not drawn: the known one is", () => {
  const known = parseMatchFile(vectors.match, contract).stage;
  const wide = (change) => {
    const file = JSON.parse(vectors.match);
    change(file.stage_geometry);
    return parseMatchFile(JSON.stringify(file), contract).stage;
  };
  assert.equal(wide((stage) => { stage.ground.x_max = 90; }).ground.x_max, 90);
  for (const change of [
    (stage) => { stage.ground.x_max = 1e9; },
    (stage) => { stage.ground.x_min = 99; },
    (stage) => { stage.blast_zones.right = 1e9; },
    (stage) => { stage.blast_zones.left = stage.blast_zones.right; },
    (stage) => { stage.platforms = Array(1000).fill(stage.ground); },
    (stage) => { stage.platforms = [{ x_min: 0, x_max: 1e18, y: 0 }]; },
  ]) assert.deepEqual(wide(change), known);
});
