import assert from "node:assert/strict";
import test from "node:test";
import { Timing, percentile } from "./page/timing.js";

const TICK = 1000 / 60;

test("frames in step: the rate, no missed tick", () => {
  const timing = new Timing();
  for (let n = 0; n < 120; n++) timing.frame(n, n * TICK);
  assert.ok(Math.abs(timing.rate(119 * TICK) - 60) < 0.01);
  assert.equal(timing.missed, 0);
});

test("a tick without a frame is missed; one notification that was skipped is not", () => {
  const timing = new Timing();
  timing.frame(1, 0);
  timing.frame(2, 3 * TICK);
  assert.equal(timing.missed, 2);
  timing.frame(4, 5 * TICK);
  assert.equal(timing.missed, 2);
  assert.deepEqual(timing.intervals.map(([, frames]) => frames), [1, 2]);
});

test("a frame that is late, and the next one in step again, miss no tick", () => {
  const timing = new Timing();
  for (let n = 0; n < 60; n++) timing.frame(n, n * TICK + (n % 2) * 12);
  assert.equal(timing.missed, 0);
  timing.frame(60, 61.5 * TICK);
  timing.frame(61, 62 * TICK);
  timing.frame(62, 63 * TICK);
  assert.equal(timing.missed, 1);
});

test("latency runs from the first sight of both inputs to their frame", () => {
  const timing = new Timing();
  timing.inputs(5, 100);
  timing.inputs(5, 105);
  timing.frame(4, 106);
  timing.frame(5, 112);
  assert.deepEqual(timing.latencies, [12]);
});

test("missed ticks are counted by the second, a minute of them", () => {
  const timing = new Timing();
  timing.frame(1, 500);
  timing.frame(2, 500 + 2 * TICK);
  timing.frame(3, 3600);
  assert.deepEqual(timing.missedBySecond.slice(0, 3), [1, 0, 0]);
  timing.frame(4, 200_000);
  assert.ok(timing.missedBySecond.length <= 61);
});

test("percentiles", () => {
  assert.equal(percentile([], 0.5), 0);
  assert.equal(percentile([3, 1, 2], 0.5), 2);
  assert.equal(percentile([3, 1, 2], 0.99), 3);
});
