// Bytes to values and back: base58, base64, hex, and the structs of contract.js.

import {
  ADDRESSES, APPLY, MAX_ACTION_STATE, PROGRAMS, SCALES, START_PLAYERS, STATUS as STATUSES, STRUCTS,
} from "./contract.js";

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

export class DecodeError extends Error {}

export function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// throws DecodeError
export function fromBase64(text) {
  let raw;
  try {
    raw = atob(text);
  } catch {
    throw new DecodeError("not base64");
  }
  const bytes = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
  return bytes;
}

export function toBase64(bytes) {
  let raw = "";
  for (const byte of bytes) raw += String.fromCharCode(byte);
  return btoa(raw);
}

export function toBase58(bytes) {
  let number = 0n;
  for (const byte of bytes) number = (number << 8n) | BigInt(byte);
  let text = "";
  for (; number; number /= 58n) text = ALPHABET[Number(number % 58n)] + text;
  for (let at = 0; at < bytes.length && bytes[at] === 0; at++) text = ALPHABET[0] + text;
  return text;
}

// size: the number of bytes in the decoded text. Throws DecodeError for any other text.
export function fromBase58(text, size = 32) {
  let number = 0n;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) throw new DecodeError(`${JSON.stringify(text)} is no base58`);
    number = number * 58n + BigInt(digit);
  }
  const bytes = new Uint8Array(size);
  for (let at = size - 1; at >= 0; at--, number >>= 8n) bytes[at] = Number(number & 255n);
  if (number || toBase58(bytes) !== text) throw new DecodeError(`${JSON.stringify(text)} is not ${size} bytes in base58`);
  return bytes;
}

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function sameBytes(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

// A struct of contract.js on the bytes of an account.
export class Layout {
  constructor(struct) {
    this.struct = struct;
    this.name = struct.name;
    this.size = struct.size;
    this.fields = struct.fields;
  }

  // at: where the struct begins in `data`. Bytes may follow it. Throws DecodeError.
  decode(data, at = 0) {
    const { name, size, discriminator } = this.struct;
    if (data.length < at + size) throw new DecodeError(`${name}: ${data.length - at} bytes, expected ${size}`);
    const own = data.subarray(at, at + size);
    if (!discriminator.every((byte, index) => own[index] === byte)) {
      throw new DecodeError(`${name}: the account is of another kind`);
    }
    return this.struct.read(new DataView(own.buffer, own.byteOffset, size), own);
  }

  // Fields that are not named are zero. Throws DecodeError when a value has another length than its field.
  encode(values) {
    const data = new Uint8Array(this.size);
    data.set(this.struct.discriminator);
    this.struct.write(values, new DataView(data.buffer), data, (into, offset, size, value, field) => {
      if (value.length !== size) throw new DecodeError(`${this.name}.${field}: ${value.length} bytes, expected ${size}`);
      into.set(value, offset);
    });
    return data;
  }
}

// a session's status in words, and by number
export const STATUS = ["created", "waiting", "active", "ended"];
export const { WAITING_PLAYERS: WAITING, ACTIVE, ENDED } = STATUSES;

// Decoders for everything that the page reads. json: stages and the names of actions, from contract.json.
export class Contract {
  constructor(json) {
    this.programs = PROGRAMS;
    this.instructionsSysvar = ADDRESSES.instructions_sysvar;
    this.computeBudget = ADDRESSES.compute_budget;
    this.apply = APPLY;
    this.layouts = Object.fromEntries(Object.entries(STRUCTS).map(([name, struct]) => [name, new Layout(struct)]));
    this.stages = new Map(json.stages.map((stage) => [stage.stage, stage]));
    this.actions = json.actions;
    this.startPlayers = START_PLAYERS;
  }

  stage(number) {
    return this.stages.get(number) ?? { stage: number, name: `stage ${number}` };
  }

  action(state) {
    let word = `action ${state}`;
    for (const [first, name] of this.actions) {
      if (first > state || state > MAX_ACTION_STATE) break;
      word = name;
    }
    return word;
  }

  // a PlayerState as the match file has it: positions, speeds and shield in game units
  player(data, at = 0) {
    const values = this.layouts.PlayerState.decode(data, at);
    for (const field in SCALES) values[field] /= SCALES[field];
    return values;
  }

  players(data, at = 0) {
    return [this.player(data, at), this.player(data, at + this.layouts.PlayerState.size)];
  }

  input(data, at = 0) {
    return this.layouts.ControllerInput.decode(data, at);
  }

  session(data) {
    const values = this.layouts.SessionState.decode(data);
    values.players = this.players(values.players);
    for (const key of ["player1", "player2", "model", "entity"]) values[key] = toBase58(values[key]);
    return values;
  }

  inputs(data) {
    const values = this.layouts.InputBuffer.decode(data);
    return { frame: values.frame, ready: [values.p1_ready === 1, values.p2_ready === 1],
      nextReady: [values.next_p1_ready === 1, values.next_p2_ready === 1],
      inputs: [this.input(values.player1), this.input(values.player2)] };
  }

  // one frame as the page keeps it, from a frame record at `at`
  record(data, at = 0) {
    const values = this.layouts.FrameRecord.decode(data, at);
    return { frame: values.frame, stage: values.stage, players: [this.player(values.player1), this.player(values.player2)],
      inputs: [this.input(values.input1), this.input(values.input2)], sources: [values.source1, values.source2] };
  }
}
