// A seat in a session, played by a throwaway key that this browser tab made and holds.

import { fromHex, toHex } from "./codec.js";
import { computeLimit, end, findWorld, join, submitInput, transaction } from "./chain.js";
import { signer } from "./crypto.js";

const SEED = "awm-throwaway-seed";
const LAMPORTS = 2_000_000_000;
const LEAST_LAMPORTS = 50_000_000; // a few minutes of inputs at 5,000 lamports each
const BLOCKHASH_MS = 400; // a blockhash is valid for 150 slots, or 1.5 s where slots take 10 ms
const RESEND_MS = 250;
const LAND_MS = 10_000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// The tab's key, made on first use. It survives a reload and ends with the tab.
export async function throwawayKey() {
  let seed;
  try {
    seed = fromHex(sessionStorage.getItem(SEED) ?? "");
  } catch {
    seed = new Uint8Array(); // without storage the key lasts as long as the page
  }
  if (seed.length !== 32) {
    seed = crypto.getRandomValues(new Uint8Array(32));
    try {
      sessionStorage.setItem(SEED, toHex(seed));
    } catch {
      // as above
    }
  }
  return signer(seed);
}

export class Seat {
  #blockhash = "";
  #world = "";
  #timers = [];
  #controls;
  #sentFor = -1;
  #sentAt = 0;
  #frame = 0;
  sent = 0;
  refused = "";

  constructor({ rpc, contract, key, entity, controls }) {
    Object.assign(this, { rpc, contract, key, entity });
    this.#controls = controls;
  }

  // Funds the key if it is empty, and joins. say: called with each step. Throws an Error that says what to do.
  async join(say) {
    await this.#prepare(say);
    say("Joining the match…");
    await this.#land([join(this.contract, this.#names())]);
    this.#play();
  }

  // Continues a session in which this key is already a player.
  async resume(say) {
    await this.#prepare(say);
    this.#play();
  }

  async leave() {
    this.stop();
    await this.#land([end(this.contract, this.#names())]);
  }

  stop() {
    this.#controls.on = false;
    this.#timers.forEach(clearInterval);
    this.#timers = [];
  }

  // sends the input for the next frame; called when a notification shows a new frame
  frame(frame) {
    this.#frame = frame;
    if (this.#timers.length && frame + 1 > this.#sentFor) this.#send();
  }

  #names() {
    return { player: this.key.text, world: this.#world, entity: this.entity };
  }

  async #prepare(say) {
    say("Looking for the world…");
    this.#world = await findWorld(this.rpc, this.contract);
    if (!this.#world) throw new Error("this chain has no BOLT world that runs our systems");
    const balance = async () => (await this.rpc.call("getBalance", this.key.text, { commitment: "processed" })).value;
    if ((await balance()) < LEAST_LAMPORTS) {
      say("Funding your throwaway key…");
      try {
        await this.rpc.call("requestAirdrop", this.key.text, LAMPORTS);
      } catch (error) {
        throw new Error(`this chain gives no airdrop (${error.message}): send some SOL to ${this.key.text} and press again`);
      }
      const until = Date.now() + LAND_MS;
      while ((await balance()) < LEAST_LAMPORTS) {
        if (Date.now() > until) throw new Error(`the airdrop did not arrive: send some SOL to ${this.key.text}`);
        await pause(200);
      }
    }
    await this.#refresh();
  }

  #play() {
    this.#controls.on = true;
    this.#timers.push(setInterval(() => this.#refresh().catch(() => {}), BLOCKHASH_MS));
    // a missing frame may be waiting for an input that was lost
    this.#timers.push(setInterval(() => performance.now() - this.#sentAt > RESEND_MS && this.#send(), RESEND_MS));
  }

  async #refresh() {
    this.#blockhash = (await this.rpc.call("getLatestBlockhash", { commitment: "processed" })).value.blockhash;
  }

  async #send() {
    this.#sentFor = this.#frame + 1;
    this.#sentAt = performance.now();
    const input = this.contract.layouts.ControllerInput.encode(this.#controls.take());
    // without a frame number, a late input counts for the next frame
    const submit = submitInput(this.contract, { ...this.#names(), input });
    try {
      const { wire } = await transaction(this.key, [computeLimit(this.contract), submit], this.#blockhash);
      await this.rpc.call("sendTransaction", wire, { encoding: "base64", skipPreflight: true });
      this.sent++;
      this.refused = "";
    } catch (error) {
      this.refused = error.message;
    }
  }

  async #land(instructions) {
    await this.#refresh();
    const { wire, id } = await transaction(this.key, [computeLimit(this.contract), ...instructions], this.#blockhash);
    await this.rpc.call("sendTransaction", wire, { encoding: "base64", preflightCommitment: "processed" });
    const until = Date.now() + LAND_MS;
    while (Date.now() < until) {
      const [status] = (await this.rpc.call("getSignatureStatuses", [id])).value;
      if (status?.err) throw new Error(`the chain refused: ${JSON.stringify(status.err)}`);
      if (status) return;
      await pause(50);
    }
    throw new Error("the transaction did not land: try again");
  }
}
