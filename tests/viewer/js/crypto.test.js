import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import test from "node:test";
import { toBase58, toHex } from "./page/codec.js";
import { isOnCurve, programAddress, publicKey, sha256, sha512, sign, signer } from "./page/crypto.js";
import { bytes, contract, vectors } from "./vectors.js";

const { crypto, curve, pda } = vectors;

test("SHA-2 of every awkward length", () => {
  assert.equal(toHex(sha256(bytes(crypto.message))), crypto.sha256);
  assert.equal(toHex(sha512(bytes(crypto.message))), crypto.sha512);
  for (const [size, [short, long]] of Object.entries(crypto.lengths)) {
    assert.equal(toHex(sha256(new Uint8Array(Number(size)))), short);
    assert.equal(toHex(sha512(new Uint8Array(Number(size)))), long);
  }
});

test("the key of a seed, and its signature, are solders'", () => {
  assert.equal(toBase58(publicKey(bytes(crypto.seed))), crypto.address);
  assert.equal(toHex(sign(bytes(crypto.seed), bytes(crypto.message))), crypto.signature);
});

test("a signer gives the same bytes with WebCrypto and without", async () => {
  for (const subtle of [webcrypto.subtle, undefined]) {
    const made = await signer(bytes(crypto.seed), subtle);
    assert.equal(made.text, crypto.address);
    assert.equal(toHex(await made.sign(bytes(crypto.message))), crypto.signature);
  }
});

test("RFC 8032, test 2", () => {
  const seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  assert.equal(toHex(publicKey(seed)), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  assert.equal(toHex(sign(seed, bytes("72"))), "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
});

test("points and other bytes are told apart", () => {
  assert.ok(curve.some(([, on]) => on) && curve.some(([, on]) => !on));
  for (const [hex, on] of curve) assert.equal(isOnCurve(bytes(hex)), on);
});

test("program-derived addresses are solders'", () => {
  assert.equal(programAddress(["registry"], contract.programs.world), pda.registry);
});
