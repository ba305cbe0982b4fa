// Bytes to values and back: base58, base64, hex, and layouts compiled from the server's contract.json.

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const UNITS = 256; // fixed point: positions, speeds and shield are game units * 256
const SCALED = ["x", "y", "shield_strength", "speed_air_x", "speed_y", "speed_ground_x", "speed_attack_x", "speed_attack_y"];

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

// size: the number of bytes that the text has to give; throws DecodeError when it is no base58 of that size
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

const NUMBERS = {
  B: ["getUint8", "setUint8"], b: ["getInt8", "setInt8"], H: ["getUint16", "setUint16"], h: ["getInt16", "setInt16"],
  I: ["getUint32", "setUint32"], i: ["getInt32", "setInt32"], Q: ["getBigUint64", "setBigUint64"],
  q: ["getBigInt64", "setBigInt64"],
};

// A packed little-endian struct. 64-bit numbers are BigInt, what is no number is a Uint8Array.
export class Layout {
  constructor(name, spec) {
    this.name = name;
    this.size = spec.size;
    this.discriminator = fromHex(spec.discriminator);
    this.fields = spec.fields.map(([field, offset, code]) => ({ field, offset, code, size: parseInt(code, 10) || 0 }));
    this.offsets = Object.fromEntries(spec.fields.map(([field, offset]) => [field, offset]));
  }

  // at: where the struct begins in `data`. Bytes may follow it. Throws DecodeError.
  decode(data, at = 0) {
    if (data.length < at + this.size) {
      throw new DecodeError(`${this.name}: ${data.length - at} bytes, expected ${this.size}`);
    }
    if (!this.discriminator.every((byte, index) => data[at + index] === byte)) {
      throw new DecodeError(`${this.name}: the account is of another kind`);
    }
    const view = new DataView(data.buffer, data.byteOffset + at, this.size);
    const values = {};
    for (const { field, offset, code, size } of this.fields) {
      values[field] = size ? data.subarray(at + offset, at + offset + size) : view[NUMBERS[code][0]](offset, true);
    }
    return values;
  }

  // Fields that are not named are zero. Throws DecodeError when bytes have another length than their field.
  encode(values) {
    const data = new Uint8Array(this.size);
    const view = new DataView(data.buffer);
    data.set(this.discriminator);
    for (const { field, offset, code, size } of this.fields) {
      const value = values[field];
      if (value === undefined) continue;
      if (!size) view[NUMBERS[code][1]](offset, value, true);
      else if (value.length === size) data.set(value, offset);
      else throw new DecodeError(`${this.name}.${field}: ${value.length} bytes, expected ${size}`);
    }
    return data;
  }
}

export const STATUS = ["created", "waiting", "active", "ended"];
export const ACTIVE = 2;
export const ENDED = 3;
export const WAITING = 1;

// Decoders of everything that the page reads, from contract.json.
export class Contract {
  constructor(json) {
    this.programs = json.programs;
    this.instructionsSysvar = json.instructions_sysvar;
    this.computeBudget = json.compute_budget;
    this.apply = fromHex(json.apply);
    this.layouts = Object.fromEntries(Object.entries(json.layouts).map(([name, spec]) => [name, new Layout(name, spec)]));
    this.stages = new Map(json.stages.map((stage) => [stage.stage, stage]));
    this.actions = json.actions;
    this.startPlayers = fromHex(json.start_players);
  }

  stage(number) {
    return this.stages.get(number) ?? { stage: number, name: `stage ${number}` };
  }

  action(state) {
    let word = `action ${state}`;
    for (const [first, name] of this.actions) {
      if (first > state || state > 399) break;
      word = name;
    }
    return word;
  }

  // a PlayerState as the match file has it: the 17 fields, positions, speeds and shield in game units
  player(data, at = 0) {
    const values = this.layouts.PlayerState.decode(data, at);
    for (const field of SCALED) values[field] /= UNITS;
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
