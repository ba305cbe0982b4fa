// Keyboard and touch as one ControllerInput.

import { BUTTONS, BUTTONS_EXT } from "./contract.js";

const TILT = 80; // the stick's reach
const { A, B, X, Z } = BUTTONS;
const PRESSED = 255;

// KeyboardEvent.code -> what it does
export const KEYS = {
  KeyW: "up", KeyA: "left", KeyS: "down", KeyD: "right",
  ArrowUp: "c-up", ArrowLeft: "c-left", ArrowDown: "c-down", ArrowRight: "c-right",
  Space: "jump", KeyJ: "attack", KeyK: "special", KeyL: "shield", ShiftLeft: "shield", ShiftRight: "shield", KeyU: "grab",
};

// the actions that are held -> the fields of a ControllerInput
export function controllerOf(held) {
  const axis = (less, more) => TILT * (Number(held.has(more)) - Number(held.has(less)));
  const shield = held.has("shield");
  return {
    stick_x: axis("left", "right"), stick_y: axis("down", "up"), c_stick_x: axis("c-left", "c-right"),
    c_stick_y: axis("c-down", "c-up"), trigger_l: shield ? PRESSED : 0, trigger_r: 0,
    buttons: (held.has("attack") && A) | (held.has("special") && B) | (held.has("jump") && X) | (held.has("grab") && Z),
    buttons_ext: shield ? BUTTONS_EXT.L : 0,
  };
}

// Listens while it is on. A press that is shorter than a frame still counts for the next frame.
export class Controls {
  #held = new Map(); // source (key code, pointer) -> action
  #tapped = new Set();
  on = false;

  constructor(target, buttons) {
    target.addEventListener("keydown", (event) => {
      const action = KEYS[event.code];
      if (!this.on || !action || event.ctrlKey || event.metaKey || event.altKey || isField(event.target)) return;
      event.preventDefault();
      this.press(event.code, action);
    });
    target.addEventListener("keyup", (event) => this.release(event.code));
    // a key that is released in another window sends no event here
    target.addEventListener("blur", () => this.#held.clear());
    for (const button of buttons) {
      button.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        button.setPointerCapture(event.pointerId);
        if (this.on) this.press(`pointer ${event.pointerId}`, button.dataset.action);
      });
      for (const gone of ["pointerup", "pointercancel", "lostpointercapture"]) {
        button.addEventListener(gone, (event) => this.release(`pointer ${event.pointerId}`));
      }
      button.addEventListener("contextmenu", (event) => event.preventDefault());
    }
  }

  press(source, action) {
    this.#held.set(source, action);
    this.#tapped.add(action);
  }

  release(source) {
    this.#held.delete(source);
  }

  // the fields of the ControllerInput for the coming frame
  take() {
    const held = new Set([...this.#held.values(), ...this.#tapped]);
    this.#tapped.clear();
    return controllerOf(held);
  }
}

function isField(target) {
  return target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && target.type !== "range";
}
