import assert from "node:assert/strict";
import test from "node:test";
import { PubSub, Rpc, socketUrl } from "./page/rpc.js";

// A WebSocket whose other side is the test: `sent` holds the page's requests, and `say` sends it a message.
class Socket {
  static OPEN = 1;
  static all = [];
  readyState = 0;
  sent = [];

  constructor(url) {
    this.url = url;
    Socket.all.push(this);
    setTimeout(() => {
      this.readyState = 1;
      this.onopen?.();
    });
  }

  send(text) {
    const message = JSON.parse(text);
    this.sent.push(message);
    setTimeout(() => this.answer(message));
  }

  answer(message) {
    this.say({ id: message.id, result: 1000 + Socket.all.indexOf(this) * 100 + message.id });
  }

  say(message) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  close() {
    this.readyState = 3;
  }
}
globalThis.WebSocket = Socket;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
async function until(condition) {
  for (let n = 0; n < 1000; n++) {
    if (condition()) return;
    await pause(5);
  }
  assert.fail(`did not happen: ${condition}`);
}
const account = (subscription, text) => ({ method: "accountNotification", params: { subscription, result: {
  context: { slot: 1 }, value: text === null ? null : { lamports: 1, data: [Buffer.from(text).toString("base64"), "base64"] } } } });
const asked = (method) => Socket.all.flatMap(({ sent }) => sent).filter((message) => message.method === method);

function opened(rpc = null) {
  Socket.all = [];
  const states = [];
  const pubsub = new PubSub("ws://x/", (up, why) => states.push(why || up), rpc);
  open.push(pubsub);
  return { pubsub, states, last: () => Socket.all.at(-1) };
}
const open = [];
// their timers would keep the process alive
test.afterEach(() => open.splice(0).forEach((pubsub) => pubsub.close()));

test("equal subscriptions are one, and each reader has its own end", async () => {
  const { pubsub, last } = opened();
  const heard = [];
  const ends = ["a", "b"].map((name) => pubsub.account("key", (data) => heard.push(name + Buffer.from(data)), () => heard.push(`${name} ready`)));
  await until(() => heard.length === 2);
  assert.equal(asked("accountSubscribe").length, 1);
  const number = 1000 + last().sent.find(({ method }) => method === "accountSubscribe").id;
  last().say(account(number, "1"));
  ends[0]();
  last().say(account(number, "2"));
  assert.deepEqual(heard, ["a ready", "b ready", "a1", "b1", "b2"]);
  assert.equal(asked("accountUnsubscribe").length, 0);
  ends[1]();
  assert.deepEqual(asked("accountUnsubscribe").map(({ params }) => params), [[number]]);
});

test("what is refused is asked again on the same connection", async () => {
  const { pubsub, last } = opened();
  let [refusals, ready] = [0, 0];
  await until(() => last()?.readyState === 1);
  last().answer = function answer(message) {
    if (message.method === "accountSubscribe" && refusals++ < 1) this.say({ id: message.id, error: { code: -32005, message: "busy" } });
    else Socket.prototype.answer.call(this, message);
  };
  pubsub.account("key", () => {}, () => ready++);
  await until(() => ready === 1);
  assert.deepEqual([refusals, Socket.all.length], [2, 1]);
});

for (const nonsense of ["{", "[".repeat(20_000) + "]".repeat(20_000), '{"method":"slotNotification"}',
  '{"method":"slotNotification","params":{"subscription":1,"result":{"slot":"x"}}}', "null", '{"method":"accountNotification","params":null}']) {
  test(`nonsense is a reconnect: ${nonsense.slice(0, 40)}`, async () => {
    const { pubsub, last, states } = opened();
    let ready = 0;
    pubsub.account("key", () => {}, () => ready++);
    await until(() => ready === 1);
    last().say(nonsense);
    await until(() => ready === 2);
    assert.match(states.find((state) => typeof state === "string"), /cannot be read/);
    });
}

test("a stream that is seconds late is made again", { timeout: 30_000 }, async () => {
  let slot = 500;
  const { pubsub, last, states } = opened({ slot: async () => slot++ });
  await until(() => last()?.readyState === 1);
  last().say({ method: "slotNotification", params: { subscription: 1, result: { slot: 100 } } });
  for (let n = 0; n < 120 && Socket.all.length < 2; n++) {
    await pause(100);
    last().say({ method: "slotNotification", params: { subscription: 1, result: { slot: 100 + n } } });
  }
  assert.match(states.find((state) => typeof state === "string"), /stream is .* s behind/);
});

const answering = (answer) => {
  const bodies = [];
  globalThis.fetch = async (_, { body }) => {
    bodies.push(JSON.parse(body));
    return new Response(answer(bodies.at(-1), bodies.length));
  };
  return bodies;
};

test("an answer is taken by its id alone", async () => {
  answering(({ id }) => JSON.stringify({ id, result: 5 }));
  assert.equal(await new Rpc("http://x").call("getSlot"), 5);
  const bodies = answering(() => JSON.stringify({ id: 999, result: 5 }));
  await assert.rejects(new Rpc("http://x").call("getSlot"), /another request/);
  assert.equal(bodies.length, 2);
});

test("one lost answer is one more try, and the endpoint's own error none", async () => {
  let bodies = answering(({ id }, count) => (count === 1 ? "<html>" : JSON.stringify({ id, result: 7 })));
  assert.equal(await new Rpc("http://x").call("getSlot"), 7);
  bodies = answering(({ id }) => JSON.stringify({ id, error: { code: 6030, message: "no" } }));
  await assert.rejects(new Rpc("http://x").call("sendTransaction"), { message: "no", code: 6030 });
  assert.equal(bodies.length, 1);
});

for (const result of [null, 5, "x", {}, { value: null }, { value: [] }, { value: [{}] }, { value: [{ data: null }] }, { value: [{ data: ["%%%"] }] }, [null], [{}]]) {
  test(`a result of another shape is an RpcError: ${JSON.stringify(result)}`, async () => {
    answering(({ id }) => JSON.stringify({ id, result }));
    const rpc = new Rpc("http://x");
    for (const call of [() => rpc.accounts(["k"]), () => rpc.slice("k", 0, 1), () => rpc.programAccounts("p", 1), () => rpc.slot()]) {
      try {
        await call();
      } catch (error) {
        assert.equal(error.constructor.name, "RpcError");
      }
    }
  });
}

test("an endless answer is given up", async () => {
  globalThis.fetch = async () => new Response(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(1 << 20).fill(65)) }));
  await assert.rejects(new Rpc("http://x").call("getSlot"), /too long/);
});

test("the WebSocket's address", () => {
  assert.equal(socketUrl("http://h:8899/"), "ws://h:8900/");
  assert.equal(socketUrl("https://h/k"), "wss://h/k");
});
