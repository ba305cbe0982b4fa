// Runs the WebAssembly build on the script of runner.c: node run_wasm.mjs engine.wasm < in > out, the same exit codes.
import { readFileSync, writeSync } from "node:fs";

const input = readFileSync(0);
let at = 0;
const take = (size) => {
  if (at + size > input.length) process.exit(2);
  return input.subarray(at, (at += size));
};
const u32 = () => take(4).readUInt32LE(0);

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), {});
const wasm = instance.exports;
let top = wasm.__heap_base.value;
const place = (size) => {
  const address = Math.ceil(top / 64) * 64;
  top = address + size;
  const missing = top - wasm.memory.buffer.byteLength;
  if (missing > 0) wasm.memory.grow(Math.ceil(missing / 65536));
  return address;
};
const bytes = (address, size) => new Uint8Array(wasm.memory.buffer, address, size);
const put = (address, data) => bytes(address, data.length).set(data);

const cartridge = take(u32());
const file = place(cartridge.length);
put(file, cartridge);
const size = wasm.image_bytes(file, cartridge.length);
if (size < 0) process.exit(10 - size);
const image = place(size);
wasm.image_build(image, file);

const sessions = u32();
const frames = u32();
const states = [];
for (let s = 0; s < sessions; s++) {
  const serialized = place(wasm.serialized_bytes(image));
  put(serialized, take(wasm.serialized_bytes(image)));
  states.push(place(wasm.state_bytes(image)));
  wasm.state_load(image, states[s], serialized);
}
const contextSize = 2 * wasm.d_model(image);
const blockSize = wasm.block_bytes(image);
const [context, block, inputs, next] = [place(contextSize + 128), place(blockSize), place(16), place(blockSize)];
const scratch = place(wasm.scratch_bytes(image));
const out = [];
for (let i = 0; i < frames * sessions; i++) {
  put(block, take(blockSize));
  put(inputs, take(16));
  if (wasm.block_check(block)) process.exit(20);
  wasm.backbone(image, states[i % sessions], block, context, scratch);
  wasm.heads(image, context, block, inputs, next, scratch);
  out.push(Buffer.from(bytes(context, contextSize)), Buffer.from(bytes(next, blockSize)));
}
const dumped = place(wasm.serialized_bytes(image));
for (const state of states) {
  wasm.state_dump(image, state, dumped);
  out.push(Buffer.from(bytes(dumped, wasm.serialized_bytes(image))));
}
const all = Buffer.concat(out);
for (let done = 0; done < all.length; ) done += writeSync(1, all, done);
