import assert from "node:assert/strict";
import test from "node:test";

// the parts of a page that the module uses
globalThis.HTMLElement ??= class {};
const { Controls, KEYS, controllerOf } = await import("./page/controls.js");

function keyboard() {
  const target = new EventTarget();
  const controls = new Controls(target, []);
  controls.on = true;
  const send = (kind, code, more = {}) => {
    const event = Object.assign(new Event(kind, { cancelable: true }), { code, ...more });
    target.dispatchEvent(event);
    return event.defaultPrevented;
  };
  return { controls, send };
}

test("WASD is the stick at full tilt, opposite keys cancel", () => {
  const held = (...actions) => controllerOf(new Set(actions));
  assert.deepEqual([held("right").stick_x, held("left").stick_x, held("up").stick_y, held("down").stick_y], [80, -80, 80, -80]);
  assert.equal(held("left", "right").stick_x, 0);
  assert.equal(held().buttons, 0);
  assert.deepEqual([held("attack").buttons, held("special").buttons, held("jump").buttons, held("grab").buttons], [1, 2, 4, 16]);
  assert.deepEqual([held("shield").trigger_l, held("shield").buttons_ext], [255, 4]);
  assert.equal(held("c-left").c_stick_x, -80);
});

test("a held key counts for every frame, until it is let go", () => {
  const { controls, send } = keyboard();
  assert.equal(send("keydown", "KeyD"), true);
  assert.equal(controls.take().stick_x, 80);
  assert.equal(controls.take().stick_x, 80);
  send("keyup", "KeyD");
  assert.equal(controls.take().stick_x, 0);
});

test("a press shorter than a frame still counts once", () => {
  const { controls, send } = keyboard();
  send("keydown", "KeyJ");
  send("keyup", "KeyJ");
  assert.equal(controls.take().buttons, 1);
  assert.equal(controls.take().buttons, 0);
});

test("other keys, shortcuts, and keys while nobody plays are left to the browser", () => {
  const { controls, send } = keyboard();
  assert.equal(send("keydown", "F5"), false);
  assert.equal(send("keydown", "KeyW", { ctrlKey: true }), false);
  controls.on = false;
  assert.equal(send("keydown", "KeyD"), false);
  assert.equal(controls.take().stick_x, 0);
});

test("leaving the window lets everything go", () => {
  const { controls, send } = keyboard();
  send("keydown", "KeyD");
  controls.take();
  send("blur", "");
  assert.equal(controls.take().stick_x, 0);
});

test("every action that a key has does something", () => {
  const neutral = JSON.stringify(controllerOf(new Set()));
  for (const action of Object.values(KEYS)) assert.notEqual(JSON.stringify(controllerOf(new Set([action]))), neutral);
});
