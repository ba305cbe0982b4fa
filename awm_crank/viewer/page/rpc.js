// JSON-RPC over HTTP, and Solana PubSub over one WebSocket that reconnects by itself.
//
// This order loses nothing: the endpoint confirms a subscription first, then its reader fetches the state, and every
// later change is notified. After a reconnect each subscription is made again, and its reader fetches again. Whatever
// an endpoint sends causes a failed call or a reconnect at most.

import { fromBase64 } from "./codec.js";

const TIMEOUTS_MS = [2000, 6000]; // of the first and the second try, since a second request often passes
const MOST_BYTES = 32 * 1024 * 1024;
const SILENCE_MS = 4000;
const BACKOFF_FIRST_MS = 100;
const BACKOFF_MOST_MS = 2000;
const LIES_MOST_MS = 20_000;
const WATCH_MS = 250;
const ANSWER_MS = 1500; // a subscribe request without an answer is sent again
const REFUSED_FIRST_MS = 500;
const REFUSED_MOST_MS = 30_000;
const COMPARE_MS = 2000;
const MOST_LAG_MS = 3000;

export class RpcError extends Error {
  constructor(message, { code = 0, data = null, unreachable = false } = {}) {
    super(message);
    this.code = code;
    this.data = data;
    this.unreachable = unreachable;
  }
}

// The WebSocket endpoint of an RPC endpoint: the same host, and the port one higher where one is named.
export function socketUrl(http) {
  const url = new URL(http);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (url.port) url.port = String(Number(url.port) + 1);
  return url.href;
}

// An answer's text. Throws when it is longer than any answer that the page asks for.
async function textOf(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let [text, size] = ["", 0];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.length;
    if (size > MOST_BYTES) {
      await reader.cancel();
      throw new Error("its answer is too long");
    }
    text += decoder.decode(value, { stream: true });
  }
}

const bytesOf = (account) => account && fromBase64(account.data[0]);

export class Rpc {
  #id = 0;

  constructor(url) {
    this.url = url;
  }

  // throws RpcError: the endpoint's own error, or unreachable
  async call(method, ...params) {
    let problem;
    for (const timeout of TIMEOUTS_MS) {
      try {
        return await this.#once(method, params, timeout);
      } catch (error) {
        if (!error.unreachable) throw error;
        problem = error;
      }
    }
    throw problem;
  }

  async #once(method, params, timeout) {
    const id = ++this.#id;
    const body = JSON.stringify({ jsonrpc: "2.0", id, method, params });
    let answer;
    try {
      const response = await fetch(this.url, {
        method: "POST", headers: { "Content-Type": "application/json" }, body, signal: AbortSignal.timeout(timeout),
      });
      answer = JSON.parse(await textOf(response));
    } catch (error) {
      throw new RpcError(`${this.url} does not answer (${error.message})`, { unreachable: true });
    }
    if (answer?.error) throw new RpcError(String(answer.error.message ?? "an error without words"), answer.error);
    if (answer?.id !== id) throw new RpcError(`${this.url} answered another request`, { unreachable: true });
    return answer.result;
  }

  // `read` applied to a call's result; throws RpcError also where the result has another shape
  async #read(read, method, ...params) {
    const result = await this.call(method, ...params);
    try {
      return read(result);
    } catch (error) {
      throw new RpcError(`${this.url} gave no answer of use to ${method} (${error.message})`);
    }
  }

  // the data of several accounts at one slot, null where there is none
  async accounts(keys) {
    const options = { encoding: "base64", commitment: "processed" };
    return this.#read(({ value }) => keys.map((_, at) => bytesOf(value[at])), "getMultipleAccounts", keys, options);
  }

  // bytes offset..offset+length of an account, null where there is none
  async slice(key, offset, length) {
    const options = { encoding: "base64", commitment: "processed", dataSlice: { offset, length } };
    return this.#read(({ value }) => bytesOf(value), "getAccountInfo", key, options);
  }

  // [key, data] of a program's accounts of one size
  async programAccounts(program, size) {
    const options = { encoding: "base64", commitment: "processed", filters: [{ dataSize: size }] };
    const read = (found) => found.map(({ pubkey, account }) => [pubkey, bytesOf(account)]);
    return this.#read(read, "getProgramAccounts", program, options);
  }

  async slot() {
    return this.#read((slot) => {
      if (!Number.isSafeInteger(slot)) throw new Error("not a slot");
      return slot;
    }, "getSlot", { commitment: "processed" });
  }
}

// One WebSocket to an endpoint, which is reconnected whenever it breaks, sends nonsense or falls behind.
//
// onState(up, why): called when the connection opens and closes. Slots are always subscribed, because a quiet account
// proves nothing about the connection: a silent slot stream counts as a lost connection. With an `rpc`, slots are
// compared with its own, since a stream that is seconds late still looks alive.
export class PubSub {
  #socket = null;
  #wanted = new Map(); // method and params as text -> {method, params, readers, server, againAt, refusals}
  #asked = new Map(); // request id -> wanted
  #byServer = new Map(); // server's id -> wanted
  #id = 0;
  #backoff = BACKOFF_FIRST_MS;
  #lies = 0; // consecutive connections that sent nonsense or were late, however many slots arrived
  #heard = 0;
  #closed = false;
  #timers = [];
  #ahead = []; // [time, slot] of the endpoint's answers that the stream has not reached

  constructor(url, onState, rpc = null) {
    this.url = url;
    this.slot = 0;
    this.onState = onState;
    this.rpc = rpc;
    this.#want("slotSubscribe", [], { onData: () => {}, onReady: () => {} });
    this.#timers.push(setInterval(() => this.#watch(), WATCH_MS));
    if (rpc) this.#timers.push(setInterval(() => this.#compare(), COMPARE_MS));
    this.#connect();
  }

  close() {
    this.#closed = true;
    this.#timers.forEach(clearTimeout);
    this.#socket?.close();
  }

  // Calls onData(bytes) at every change, and onReady() when a connection confirms it. Returns a function that ends it.
  account(key, onData, onReady) {
    return this.#want("accountSubscribe", [key, { encoding: "base64", commitment: "processed" }], {
      onData: ({ value }) => onData(value && value.lamports ? bytesOf(value) : null), onReady,
    });
  }

  // On real validators equal subscriptions of one connection share an id, and one unsubscribe ends both. So each is
  // requested once, and ended with its last reader.
  #want(method, params, reader) {
    const key = JSON.stringify([method, params]);
    let wanted = this.#wanted.get(key);
    if (!wanted) {
      wanted = { key, method, params, readers: new Set(), server: null, againAt: 0, refusals: 0 };
      this.#wanted.set(key, wanted);
      this.#ask(wanted);
    }
    wanted.readers.add(reader);
    if (wanted.server !== null) setTimeout(() => wanted.readers.has(reader) && wanted.server !== null && reader.onReady());
    return () => {
      wanted.readers.delete(reader);
      if (wanted.readers.size || this.#wanted.get(key) !== wanted) return;
      this.#wanted.delete(key);
      if (wanted.server !== null) this.#end(wanted.method, wanted.server);
    };
  }

  #end(method, server) {
    this.#byServer.delete(server);
    this.#send(method.replace("Subscribe", "Unsubscribe"), [server]);
  }

  #send(method, params) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return 0;
    this.#socket.send(JSON.stringify({ jsonrpc: "2.0", id: ++this.#id, method, params }));
    return this.#id;
  }

  #ask(wanted) {
    const id = this.#send(wanted.method, wanted.params);
    if (id) this.#asked.set(id, wanted);
    wanted.againAt = performance.now() + ANSWER_MS;
  }

  #connect() {
    if (this.#closed) return;
    let socket;
    try {
      socket = new WebSocket(this.url);
    } catch (error) {
      this.onState(false, error.message);
      return;
    }
    this.#socket = socket;
    this.#heard = performance.now();
    socket.onopen = () => {
      for (const wanted of this.#wanted.values()) this.#ask(wanted);
      this.onState(true, "");
    };
    socket.onmessage = ({ data }) => {
      this.#heard = performance.now();
      let message;
      try {
        message = JSON.parse(data);
        this.#take(message);
      } catch (error) {
        // it may have been a change: the next connection fetches
        this.#lost(socket, `a message that cannot be read (${error.message})`, false);
      }
    };
    socket.onclose = () => this.#lost(socket, "the connection was closed");
  }

  #lost(socket, why, good = true) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
    this.#asked.clear();
    this.#byServer.clear();
    this.#ahead = [];
    for (const wanted of this.#wanted.values()) Object.assign(wanted, { server: null, refusals: 0 });
    if (this.#closed) return;
    this.onState(false, why);
    // random, so that many pages of one endpoint do not reconnect at the same moment
    this.#lies = good ? 0 : this.#lies + 1;
    const pause = good ? this.#backoff : Math.min(BACKOFF_FIRST_MS * 2 ** this.#lies, LIES_MOST_MS);
    this.#timers.push(setTimeout(() => this.#connect(), pause * (0.5 + Math.random() / 2)));
    this.#backoff = Math.min(this.#backoff * 2, BACKOFF_MOST_MS);
  }

  #watch() {
    const now = performance.now();
    if (!this.#socket) return;
    if (now - this.#heard > SILENCE_MS) {
      this.#lost(this.#socket, "nothing heard");
    } else if (this.#socket.readyState === WebSocket.OPEN) {
      for (const wanted of this.#wanted.values()) if (wanted.server === null && now > wanted.againAt) this.#ask(wanted);
    }
  }

  async #compare() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || !this.slot) return;
    let slot;
    try {
      slot = await this.rpc.slot();
    } catch {
      return; // other code handles an endpoint that does not answer
    }
    if (socket !== this.#socket) return;
    const now = performance.now();
    this.#ahead = [...this.#ahead, [now, slot]].filter(([, seen]) => seen > this.slot);
    const since = this.#ahead[0]?.[0] ?? now;
    if (now - since > MOST_LAG_MS) this.#lost(socket, `the stream is ${((now - since) / 1000).toFixed(1)} s behind`, false);
  }

  #take(message) {
    if (message.id !== undefined && message.id !== null) {
      const wanted = this.#asked.get(message.id);
      this.#asked.delete(message.id);
      if (!wanted) return;
      if (message.error) this.#refused(wanted);
      else this.#confirmed(wanted, message.result);
    } else {
      if (typeof message.method !== "string") throw new Error("neither a notification nor an answer");
      const { subscription, result } = message.params;
      if (message.method === "slotNotification") {
        if (!Number.isSafeInteger(result.slot)) throw new Error("not a slot");
        this.slot = result.slot;
        this.#backoff = BACKOFF_FIRST_MS;
      }
      for (const reader of [...(this.#byServer.get(subscription)?.readers ?? [])]) reader.onData(result);
    }
  }

  #refused(wanted) {
    if (wanted.server !== null) return;
    wanted.againAt = performance.now() + Math.min(REFUSED_FIRST_MS * 2 ** wanted.refusals, REFUSED_MOST_MS);
    wanted.refusals = Math.min(wanted.refusals + 1, 16);
  }

  #confirmed(asked, server) {
    // another reader may have subscribed to the same since this one left
    const wanted = this.#wanted.get(asked.key);
    if (!wanted || wanted.server !== null) {
      // no reader is left, or the request was repeated because the first answer was late
      if (!this.#byServer.has(server)) this.#end(asked.method, server);
      return;
    }
    Object.assign(wanted, { server, refusals: 0 });
    this.#byServer.set(server, wanted);
    for (const reader of [...wanted.readers]) reader.onReady();
  }
}
