import assert from "node:assert/strict";
import test from "node:test";
import { every } from "./page/stage.js";

test("the multiples of a step between two numbers", () => {
  assert.deepEqual(every(20, -45, 41), [-40, -20, 0, 20, 40]);
  assert.deepEqual(every(20, 0, 40), [0, 20]);
  assert.deepEqual(every(17, 10, 5), []);
});

test("numbers beyond all measure give few lines, at once", () => {
  const strange = [[-1e9, 1e9], [1e18, 2e18], [-1e308, 1e308], [NaN, 5], [0, NaN], [-Infinity, Infinity], [0, Infinity]];
  for (const [low, high] of strange) assert.ok(every(20, low, high).length <= 500, `${low}..${high}`);
});
