// JSON-RPC over HTTP, and Solana PubSub over one WebSocket that stays up.
//
// The order that keeps nothing from falling between: a subscription is confirmed first, then its reader fetches the
// state; what changes after that is notified. After a reconnect every subscription is made anew, and its reader fetches
// again.

import { fromBase64 } from "./codec.js";

const TIMEOUT_MS = 8000;
const SILENCE_MS = 4000;
const BACKOFF_FIRST_MS = 100;
const BACKOFF_MOST_MS = 2000;

export class RpcError extends Error {
  constructor(message, { code = 0, data = null, unreachable = false } = {}) {
    super(message);
    this.code = code;
    this.data = data;
    this.unreachable = unreachable;
  }
}

// The WebSocket endpoint that goes with an RPC endpoint: the same host, the port one higher where one is named.
export function socketUrl(http) {
  const url = new URL(http);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (url.port) url.port = String(Number(url.port) + 1);
  return url.href;
}

export class Rpc {
  #id = 0;

  constructor(url) {
    this.url = url;
  }

  // throws RpcError: the endpoint's own error, or unreachable
  async call(method, ...params) {
    const body = JSON.stringify({ jsonrpc: "2.0", id: ++this.#id, method, params });
    let answer;
    try {
      const response = await fetch(this.url, {
        method: "POST", headers: { "Content-Type": "application/json" }, body, signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      answer = await response.json();
    } catch (error) {
      throw new RpcError(`${this.url} does not answer (${error.message})`, { unreachable: true });
    }
    if (answer.error) throw new RpcError(answer.error.message, answer.error);
    return answer.result;
  }

  // the data of several accounts at one slot, null where there is none
  async accounts(keys) {
    const found = await this.call("getMultipleAccounts", keys, { encoding: "base64", commitment: "processed" });
    return found.value.map((value) => value && fromBase64(value.data[0]));
  }

  // bytes offset..offset+length of an account, null where there is none
  async slice(key, offset, length) {
    const options = { encoding: "base64", commitment: "processed", dataSlice: { offset, length } };
    const { value } = await this.call("getAccountInfo", key, options);
    return value && fromBase64(value.data[0]);
  }

  // [key, data] of a program's accounts of one size
  async programAccounts(program, size) {
    const options = { encoding: "base64", commitment: "processed", filters: [{ dataSize: size }] };
    const found = await this.call("getProgramAccounts", program, options);
    return found.map(({ pubkey, account }) => [pubkey, fromBase64(account.data[0])]);
  }
}

// One WebSocket to an endpoint, made again whenever it breaks.
//
// onState(up, why): told when the connection comes and goes. Slots are always subscribed, since a quiet account proves
// nothing about the connection and a slot stream does: silence counts as lost.
export class PubSub {
  #socket = null;
  #wanted = new Map(); // handle -> {method, params, onData, onReady, server}
  #asked = new Map(); // request id -> handle
  #byServer = new Map(); // server's id -> handle
  #id = 0;
  #backoff = BACKOFF_FIRST_MS;
  #heard = 0;
  #closed = false;
  #timers = [];

  constructor(url, onState) {
    this.url = url;
    this.slot = 0;
    this.onState = onState;
    this.#want("slotSubscribe", [], { onData: () => {}, onReady: () => {} });
    this.#timers.push(setInterval(() => this.#watch(), 500));
    this.#connect();
  }

  close() {
    this.#closed = true;
    this.#timers.forEach(clearTimeout);
    this.#socket?.close();
  }

  // onData(bytes) at every change; onReady() once it is confirmed, at every connection. Returns what ends it.
  account(key, onData, onReady) {
    return this.#want("accountSubscribe", [key, { encoding: "base64", commitment: "processed" }], {
      onData: ({ value }) => onData(value && value.lamports ? fromBase64(value.data[0]) : null), onReady,
    });
  }

  #want(method, params, handlers) {
    const handle = { method, params, ...handlers, server: null };
    this.#wanted.set(handle, handle);
    this.#ask(handle);
    return () => {
      this.#wanted.delete(handle);
      if (handle.server !== null) {
        this.#byServer.delete(handle.server);
        this.#send(method.replace("Subscribe", "Unsubscribe"), [handle.server]);
      }
    };
  }

  #send(method, params) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return 0;
    this.#socket.send(JSON.stringify({ jsonrpc: "2.0", id: ++this.#id, method, params }));
    return this.#id;
  }

  #ask(handle) {
    const id = this.#send(handle.method, handle.params);
    if (id) this.#asked.set(id, handle);
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
      for (const handle of this.#wanted.keys()) this.#ask(handle);
      this.onState(true, "");
    };
    socket.onmessage = ({ data }) => {
      this.#heard = performance.now();
      this.#take(JSON.parse(data));
    };
    socket.onclose = () => this.#lost(socket, "the connection was closed");
  }

  #lost(socket, why) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
    this.#asked.clear();
    this.#byServer.clear();
    for (const handle of this.#wanted.keys()) handle.server = null;
    if (this.#closed) return;
    this.onState(false, why);
    // spread, so that many pages of one endpoint do not return in step
    this.#timers.push(setTimeout(() => this.#connect(), this.#backoff * (0.5 + Math.random() / 2)));
    this.#backoff = Math.min(this.#backoff * 2, BACKOFF_MOST_MS);
  }

  #watch() {
    if (this.#socket && performance.now() - this.#heard > SILENCE_MS) this.#lost(this.#socket, "nothing heard");
  }

  #take(message) {
    if (message.id !== undefined && message.id !== null) {
      const handle = this.#asked.get(message.id);
      this.#asked.delete(message.id);
      if (!handle || message.error || !this.#wanted.has(handle)) return;
      handle.server = message.result;
      this.#byServer.set(message.result, handle);
      handle.onReady();
    } else if (message.method) {
      const { subscription, result } = message.params;
      if (message.method === "slotNotification") {
        this.slot = result.slot;
        this.#backoff = BACKOFF_FIRST_MS;
      }
      this.#byServer.get(subscription)?.onData(result);
    }
  }
}
