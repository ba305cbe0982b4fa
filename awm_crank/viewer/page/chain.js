// The chain's side of a session: its addresses, World's apply, and signed legacy transactions.

import { concat, fromBase58, toBase58, toBase64 } from "./codec.js";
import { ACTION, REGISTRY_OFFSETS, SEEDS, WORLD_OFFSETS } from "./contract.js";
import { programAddress } from "./crypto.js";

const COMPUTE_UNITS = 400_000;
const SESSION = ["session_state", "hidden_state", "input_buffer", "frame_log"];
const SYSTEMS = ["session_lifecycle", "submit_input", "run_inference"];

// An entity's accounts: {session_state, hidden_state, input_buffer, frame_log}, base58.
export function sessionAccounts(contract, entity) {
  const seeds = [SEEDS.component, fromBase58(entity)];
  return Object.fromEntries(SESSION.map((name) => [name, programAddress(seeds, contract.programs[name])]));
}

function bigEndian(id) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, id);
  return bytes;
}

// The world to play in, or null: the first one that an authority guards and that runs our systems, or else the first one
// that runs them. `best_world` of awm_crank/wire/worlds.py is the same rule.
export async function findWorld(rpc, contract) {
  const program = contract.programs.world;
  const [registry] = await rpc.accounts([programAddress([SEEDS.registry], program)]);
  if (!registry) return null;
  const count = new DataView(registry.buffer).getBigUint64(REGISTRY_OFFSETS.worlds, true);
  let usable = null;
  for (let first = 0n; first < count; first += 100n) {
    const keys = [];
    for (let id = first; id < count && id < first + 100n; id++) keys.push(programAddress([SEEDS.world, bigEndian(id)], program));
    const found = await rpc.accounts(keys);
    for (const [at, data] of found.entries()) {
      const world = data && readWorld(data);
      if (!world || !runsMatches(world, contract)) continue;
      if (world.guarded) return keys[at];
      usable ??= keys[at];
    }
  }
  return usable;
}

// A world's authorities are a u32 count and 32 bytes each. A byte `permissionless` follows, then the approved systems: a
// u32 length in bytes, and if that is not zero a u32 count and 32 bytes each.
function readWorld(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const at = WORLD_OFFSETS.authorities;
  const authorities = view.getUint32(at, true);
  const flag = at + 4 + 32 * authorities;
  const permissionless = data[flag] === 1;
  const systems = new Set();
  const count = view.getUint32(flag + 1, true) ? view.getUint32(flag + 5, true) : 0;
  for (let n = 0; n < count; n++) systems.add(toBase58(data.subarray(flag + 9 + 32 * n, flag + 41 + 32 * n)));
  return { permissionless, guarded: authorities > 0 && !permissionless, systems };
}

function runsMatches(world, contract) {
  return world.permissionless || SYSTEMS.every((name) => world.systems.has(contract.programs[name]));
}

function u32(value) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

// World's `apply` of a system over components of one entity (reference: BOLT 0.2.4).
export function apply(contract, { system, authority, world, entity, components, args }) {
  const addresses = sessionAccounts(contract, entity);
  const pairs = components.flatMap((name) => [[contract.programs[name], "r"], [addresses[name], "w"]]);
  return {
    program: contract.programs.world,
    accounts: [[contract.programs[system], "r"], [authority, "s"], [contract.instructionsSysvar, "r"], [world, "r"], ...pairs],
    data: concat(contract.apply, u32(args.length), args),
  };
}

export function submitInput(contract, { player, world, entity, input, frame = 0 }) {
  const args = contract.layouts.InputArgs.encode({ tag: 1, player: fromBase58(player), input, frame });
  return apply(contract, {
    system: "submit_input", authority: player, world, entity, components: ["session_state", "input_buffer"], args,
  });
}

function lifecycle(contract, action, { player, world, entity, character = 0 }) {
  const args = contract.layouts.LifecycleArgs.encode({ tag: 1, action, player: fromBase58(player), character });
  return apply(contract, { system: "session_lifecycle", authority: player, world, entity, components: SESSION, args });
}

export const join = (contract, options) => lifecycle(contract, ACTION.JOIN, options);
export const end = (contract, options) => lifecycle(contract, ACTION.END, options);

// Two equal inputs in one slot would be one transaction and count once, so different compute limits make them differ.
let unique = 0;
export function computeLimit(contract) {
  return { program: contract.computeBudget, accounts: [], data: concat(Uint8Array.of(2), u32(COMPUTE_UNITS + (unique++ % 100_000))) };
}

function compact(length) {
  return length < 128 ? Uint8Array.of(length) : Uint8Array.of((length & 127) | 128, length >> 7);
}

// A legacy message: header, keys (signing payer, writable, read-only), blockhash, instructions.
export function message(payer, instructions, blockhash) {
  const rank = new Map([[payer, 0]]); // 0 signs, 1 writable, 2 read-only
  for (const { program, accounts } of instructions) {
    for (const [key, role] of [...accounts, [program, "r"]]) {
      rank.set(key, Math.min(rank.get(key) ?? 2, role === "w" ? 1 : 2));
    }
  }
  const keys = [...rank.keys()].sort((one, other) => rank.get(one) - rank.get(other));
  const index = new Map(keys.map((key, at) => [key, at]));
  const readOnly = keys.filter((key) => rank.get(key) === 2).length;
  const body = instructions.map(({ program, accounts, data }) => concat(
    Uint8Array.of(index.get(program)), compact(accounts.length), Uint8Array.from(accounts, ([key]) => index.get(key)),
    compact(data.length), data,
  ));
  return concat(
    Uint8Array.of(1, 0, readOnly), compact(keys.length), ...keys.map((key) => fromBase58(key)), fromBase58(blockhash),
    compact(body.length), ...body,
  );
}

// A transaction that only its payer signs: {wire: base64, id: base58}.
export async function transaction(signer, instructions, blockhash) {
  const text = message(signer.text, instructions, blockhash);
  const signature = await signer.sign(text);
  return { wire: toBase64(concat(Uint8Array.of(1), signature, text)), id: toBase58(signature) };
}

