// SHA-2, Ed25519 (RFC 8032) and program-derived addresses in plain JavaScript. A page outside a secure context, such as
// on a phone that opens it over the network, has no WebCrypto. Where WebCrypto exists, it signs. The only secret here
// is the throwaway key that the page made itself.

import { concat, fromBase58, toBase58 } from "./codec.js";

const utf8 = new TextEncoder();
const MASK64 = (1n << 64n) - 1n;

// floor of the root of that degree, by Newton's method
function root(value, degree) {
  let guess = 1n << BigInt(Math.ceil(value.toString(2).length / Number(degree)));
  for (;;) {
    const next = ((degree - 1n) * guess + value / guess ** (degree - 1n)) / degree;
    if (next >= guess) return guess;
    guess = next;
  }
}

// FIPS 180-4: the fractional bits of the roots of the first primes; SHA-256 takes the upper halves
const PRIMES = [];
for (let n = 2; PRIMES.length < 80; n++) if (PRIMES.every((prime) => n % prime)) PRIMES.push(n);
const ROUND64 = PRIMES.map((prime) => root(BigInt(prime) << 192n, 3n) & MASK64);
const START64 = PRIMES.slice(0, 8).map((prime) => root(BigInt(prime) << 128n, 2n) & MASK64);
const upper = (word) => Number(word >> 32n) | 0;
const ROUND32 = Int32Array.from(ROUND64.slice(0, 64), upper);
const START32 = Int32Array.from(START64, upper);

// the message with its end mark and length, padded to whole blocks
function padded(message, block) {
  const size = Math.ceil((message.length + 1 + block / 8) / block) * block;
  const data = new Uint8Array(size);
  data.set(message);
  data[message.length] = 0x80;
  new DataView(data.buffer).setUint32(size - 4, message.length * 8);
  return data;
}

export function sha256(message) {
  const data = padded(message, 64);
  const view = new DataView(data.buffer);
  const hash = START32.slice();
  const w = new Int32Array(64);
  const turn = (x, n) => (x >>> n) | (x << (32 - n));
  for (let at = 0; at < data.length; at += 64) {
    for (let i = 0; i < 64; i++) {
      if (i < 16) w[i] = view.getInt32(at + 4 * i);
      else {
        const s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >>> 3);
        const s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >>> 10);
        w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
      }
    }
    let [a, b, c, d, e, f, g, h] = hash;
    for (let i = 0; i < 64; i++) {
      const t1 = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + ROUND32[i] + w[i]) | 0;
      const t2 = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (hash[i] += word));
  }
  const out = new DataView(new ArrayBuffer(32));
  hash.forEach((word, i) => out.setInt32(4 * i, word));
  return new Uint8Array(out.buffer);
}

export function sha512(message) {
  const data = padded(message, 128);
  const view = new DataView(data.buffer);
  const hash = START64.slice();
  const turn = (x, n) => (x >> n) | ((x << (64n - n)) & MASK64);
  for (let at = 0; at < data.length; at += 128) {
    const w = [];
    for (let i = 0; i < 80; i++) {
      if (i < 16) w.push(view.getBigUint64(at + 8 * i));
      else {
        const s0 = turn(w[i - 15], 1n) ^ turn(w[i - 15], 8n) ^ (w[i - 15] >> 7n);
        const s1 = turn(w[i - 2], 19n) ^ turn(w[i - 2], 61n) ^ (w[i - 2] >> 6n);
        w.push((w[i - 16] + s0 + w[i - 7] + s1) & MASK64);
      }
    }
    let [a, b, c, d, e, f, g, h] = hash;
    for (let i = 0; i < 80; i++) {
      const t1 = h + (turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n)) + ((e & f) ^ (~e & MASK64 & g)) + ROUND64[i] + w[i];
      const t2 = (turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n)) + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) & MASK64, c, b, a, (t1 + t2) & MASK64];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (hash[i] = (hash[i] + word) & MASK64));
  }
  const out = new DataView(new ArrayBuffer(64));
  hash.forEach((word, i) => out.setBigUint64(8 * i, word));
  return new Uint8Array(out.buffer);
}

// -- Edwards25519, points as extended coordinates [X, Y, Z, T]

const P = (1n << 255n) - 19n;
const ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;
const mod = (x) => ((x % P) + P) % P;

function power(base, exponent) {
  let result = 1n;
  for (base = mod(base); exponent; exponent >>= 1n, base = (base * base) % P) {
    if (exponent & 1n) result = (result * base) % P;
  }
  return result;
}

const inverse = (x) => power(x, P - 2n);
const D = mod(-121665n * inverse(121666n));
const ROOT_OF_MINUS_1 = power(2n, (P - 1n) / 4n);

// x of the point with this y, or null where there is none
function xOf(y, odd) {
  const square = mod((y * y - 1n) * inverse(D * y * y + 1n));
  let x = power(square, (P + 3n) / 8n);
  if (mod(x * x - square)) x = mod(x * ROOT_OF_MINUS_1);
  if (mod(x * x - square)) return null;
  return (x & 1n) === odd ? x : mod(-x);
}

function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = ((y1 - x1) * (y2 - x2)) % P;
  const b = ((y1 + x1) * (y2 + x2)) % P;
  const c = (2n * t1 * ((t2 * D) % P)) % P;
  const d = (2n * z1 * z2) % P;
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [(e * f) % P, (g * h) % P, (f * g) % P, (e * h) % P];
}

// 2^n times the base point
const BASE = [];
{
  const y = mod(4n * inverse(5n));
  const x = xOf(y, 0n);
  let point = [x, y, 1n, mod(x * y)];
  for (let bit = 0; bit < 256; bit++, point = add(point, point)) BASE.push(point);
}

const littleEndian = (bytes) => bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);

function toBytes(number) {
  const bytes = new Uint8Array(32);
  for (let at = 0; at < 32; at++, number >>= 8n) bytes[at] = Number(number & 255n);
  return bytes;
}

// times the base point, encoded
function timesBase(scalar) {
  let point = [0n, 1n, 1n, 0n];
  for (let bit = 0; scalar; bit++, scalar >>= 1n) if (scalar & 1n) point = add(point, BASE[bit]);
  const z = inverse(point[2]);
  return toBytes(mod(point[1] * z) | ((mod(point[0] * z) & 1n) << 255n));
}

export function isOnCurve(bytes) {
  const number = littleEndian(bytes);
  return xOf(mod(number & ((1n << 255n) - 1n)), number >> 255n) !== null;
}

function secretScalar(seed) {
  const hash = sha512(seed);
  hash[0] &= 248;
  hash[31] = (hash[31] & 127) | 64;
  return { scalar: littleEndian(hash.subarray(0, 32)), prefix: hash.subarray(32) };
}

export function publicKey(seed) {
  return timesBase(secretScalar(seed).scalar);
}

export function sign(seed, message, address = publicKey(seed)) {
  const { scalar, prefix } = secretScalar(seed);
  const r = littleEndian(sha512(concat(prefix, message))) % ORDER;
  const point = timesBase(r);
  const k = littleEndian(sha512(concat(point, address, message)));
  return concat(point, toBytes((r + k * scalar) % ORDER));
}

// A key that signs, with WebCrypto's Ed25519 where the browser has it. seed: 32 bytes.
export async function signer(seed, subtle = globalThis.crypto?.subtle) {
  const address = publicKey(seed);
  let signing = async (message) => sign(seed, message, address);
  try {
    const pkcs8 = concat(Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32]), seed);
    const key = await subtle.importKey("pkcs8", pkcs8, "Ed25519", false, ["sign"]);
    signing = async (message) => new Uint8Array(await subtle.sign("Ed25519", key, message));
  } catch {
    // older browsers, and pages outside a secure context, use the code above, which takes a few ms
  }
  return { address, text: toBase58(address), sign: signing };
}

// The address (base58) that Solana derives from seeds (strings or bytes) for a program (base58).
const derived = new Map();
export function programAddress(seeds, program) {
  const parts = seeds.map((seed) => (typeof seed === "string" ? utf8.encode(seed) : seed));
  const name = `${program}/${parts.map(toBase58).join("/")}`;
  if (!derived.has(name)) {
    const end = concat(fromBase58(program), utf8.encode("ProgramDerivedAddress"));
    let bump = 255;
    let address;
    do address = sha256(concat(...parts, Uint8Array.of(bump), end));
    while (isOnCurve(address) && bump-- > 0);
    derived.set(name, toBase58(address));
  }
  return derived.get(name);
}
