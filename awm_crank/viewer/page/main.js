// The page: wires endpoint, session, history, stage, timing and seat together. State lives in `app`.

import { ACTIVE, Contract, ENDED, WAITING, fromBase58 } from "./codec.js";
import { sessionAccounts } from "./chain.js";
import { Controls } from "./controls.js";
import { History, parseMatchFile, readRing } from "./history.js";
import { Seat, throwawayKey } from "./player.js";
import { PubSub, Rpc, socketUrl } from "./rpc.js";
import { StageView } from "./stage.js";
import { Timing } from "./timing.js";
import { element, showBanner, showCharts, showFrame, showPlayers, showSeat, showSessions, showStatus, showWatchedRow } from "./panels.js";

const LIST_MS = 2000;
const RING_MS = 1000;
const QUIET_MS = 2000;
const CHARTS_MS = 120;

const app = {
  contract: null, rpc: null, pubsub: null, up: false,
  watched: "", pinned: false, gone: false, session: null, accounts: null, unsubscribe: [],
  history: new History(), timing: new Timing(), pending: new Map(), stage: null,
  mode: "live", position: 0, playing: false, speed: 1, file: null,
  sessions: [], listed: false, readAt: 0, key: null, seat: null, seatText: "", seatBusy: false,
};
// for tests and for people with a console
window.awm = app;

// ---- endpoint

function settings() {
  const given = new URLSearchParams(location.search);
  new URLSearchParams(location.hash.slice(1)).forEach((value, name) => given.set(name, value));
  return Object.fromEntries(given);
}

function connect(rpc, ws) {
  app.pubsub?.close();
  app.seat?.stop();
  Object.assign(app, { rpc: new Rpc(rpc), up: false, sessions: [], listed: false, seat: null, seatText: "" });
  app.pubsub = new PubSub(ws || socketUrl(rpc), (up) => {
    app.up = up;
    if (up) list();
    else app.timing.reset();
  }, app.rpc);
  element("rpc").value = rpc;
  element("ws").value = app.pubsub.url;
}

function remember() {
  const rpc = element("rpc").value;
  const hash = new URLSearchParams({ rpc, ws: element("ws").value });
  if (app.pinned && app.watched) hash.set("session", app.watched);
  history.replaceState(null, "", `#${hash}`);
}

// ---- sessions

async function list() {
  if (!app.up || document.hidden) return;
  const { rpc, contract } = app;
  let found;
  try {
    found = await rpc.programAccounts(contract.programs.session_state, contract.layouts.SessionState.size);
  } catch {
    return; // the socket reports a lost connection, and the next round asks again
  }
  if (rpc !== app.rpc) return;
  app.listed = true;
  app.sessions = found.flatMap(([key, data]) => {
    try {
      return [{ key, ...contract.session(data) }];
    } catch {
      return []; // of another version
    }
  });
  const order = [ACTIVE, WAITING, ENDED, 0];
  app.sessions.sort((one, other) => order.indexOf(one.status) - order.indexOf(other.status)
    || Number(other.created_at - one.created_at) || (one.key < other.key ? -1 : 1));
  showSessions(app, { watch: (key) => watch(key, true), play });
  follow();
}

// the newest live session, where the user has not chosen one
function follow() {
  const busy = app.session?.status === ACTIVE || app.seat || app.seatBusy;
  if (app.pinned || app.mode !== "live" || (busy && !app.gone)) return;
  const best = app.sessions[0];
  if (!best || best.key === app.watched) return;
  // another ended match is no reason to leave the one on the screen
  if (!app.watched || app.gone || best.status === ACTIVE || (best.status === WAITING && app.session?.status !== ENDED)) watch(best.key, false);
}

function watch(key, pinned) {
  app.unsubscribe.forEach((stop) => stop());
  app.seat?.stop();
  Object.assign(app, {
    watched: key, pinned, gone: false, session: null, accounts: null, unsubscribe: [], history: new History(), seat: null,
    pending: new Map(), mode: "live", playing: false, file: null, seatText: "",
  });
  app.timing.reset();
  app.unsubscribe.push(app.pubsub.account(key, (data) => key === app.watched && take(data), () => reread(key)));
  remember();
  list();
}

// Reads the session's current state, after each connection and while no notification arrives.
async function reread(key) {
  app.readAt = performance.now();
  try {
    const [data] = await app.rpc.accounts([key]);
    if (key !== app.watched) return;
    take(data);
    if (app.accounts) await fill();
  } catch {
    // quiet() reads again
  }
}

// A subscription can end while slots still arrive, and a read can fail while the connection stays.
function quiet() {
  const now = performance.now();
  const over = app.session?.status === ENDED && !app.gone;
  if (app.up && app.watched && !over && now - app.readAt > QUIET_MS) reread(app.watched);
}

function take(data) {
  app.readAt = performance.now();
  if (!data?.length) {
    app.gone = true;
    return;
  }
  const at = performance.now();
  let session;
  try {
    session = app.contract.session(data);
  } catch (error) {
    app.gone = true;
    app.seatText = error.message;
    return;
  }
  const before = app.session;
  // a chain that was restarted has other matches
  if (before && session.frame < before.frame) app.history = new History();
  app.session = session;
  app.gone = false;
  if (!app.accounts) opened(session);
  if (session.status !== ACTIVE && session.status !== ENDED) return;
  if (!before || session.frame !== before.frame || app.history.last < session.frame) {
    app.history.add({ frame: session.frame, stage: session.stage, players: session.players, inputs: app.pending.get(session.frame) });
    app.pending.delete(session.frame);
    if (session.status === ACTIVE) app.timing.frame(session.frame, at);
  }
  if (session.status === ENDED) {
    if (before?.status === ACTIVE) fill();
    app.seat?.stop();
  } else if (!before || session.frame !== before.frame || before.status !== ACTIVE) app.seat?.frame(session.frame);
}

function opened(session) {
  app.accounts = sessionAccounts(app.contract, session.entity);
  app.stage = app.contract.stage(session.stage);
  const key = app.accounts.input_buffer;
  app.unsubscribe.push(app.pubsub.account(key, (data) => key === app.accounts?.input_buffer && inputs(data), () => {}));
  fill();
  const mine = [session.player1, session.player2].includes(app.key?.text);
  if (mine && session.status === ACTIVE && !app.seat && !app.seatBusy) sit((seat, say) => seat.resume(say));
}

function inputs(data) {
  if (!data) return;
  const at = performance.now();
  const buffer = app.contract.inputs(data);
  if (buffer.ready.every(Boolean)) {
    app.timing.inputs(buffer.frame, at);
    app.pending.set(buffer.frame, buffer.inputs);
    app.pending.delete(buffer.frame - 8);
  }
  if (buffer.nextReady.every(Boolean)) app.timing.inputs(buffer.frame + 1, at);
}

// the new records in the ring; frame 0 is the start position and has no record
async function fill() {
  const { rpc, contract, accounts, history, session } = app;
  try {
    await readRing(rpc, contract, accounts.frame_log, history, accounts.hidden_state);
  } catch {
    return; // asked again within a second
  }
  if (history.first === 1 && session) {
    const players = contract.players(contract.startPlayers);
    players.forEach((player, number) => (player.character = session.players[number].character));
    history.add({ frame: 0, stage: session.stage, players });
  }
}

// ---- match files

async function openFile(file) {
  if (!file) return;
  try {
    const match = parseMatchFile(await file.text(), app.contract);
    app.file = { name: file.name, ...match };
    Object.assign(app, { mode: "file", position: match.history.first, playing: true });
  } catch (error) {
    app.file = null;
    showBanner(`${file.name}: ${error.message}`, "bad", 6000);
  }
  element("file").value = "";
}

// ---- the seat

async function sit(how) {
  const { rpc, contract, key, session } = app;
  const seat = new Seat({ rpc, contract, key, entity: session.entity, controls });
  app.seatBusy = true;
  try {
    await how(seat, (text) => (app.seatText = text));
    app.seat = seat;
    app.seatText = "";
    if (app.session) seat.frame(app.session.frame);
  } catch (error) {
    app.seatText = error.message;
  } finally {
    app.seatBusy = false;
    list();
  }
}

async function play(key) {
  if (app.seatBusy) return;
  watch(key, true);
  while (!app.session && app.watched === key && !app.gone) await new Promise((done) => setTimeout(done, 20));
  if (app.session && app.watched === key) await sit((seat, say) => seat.join(say));
}

const controls = new Controls(window, document.querySelectorAll("#touch button"));

// ---- what is shown

const shown = () => (app.mode === "file" ? app.file.history : app.history);

function step(milliseconds) {
  const history = shown();
  if (app.mode === "live") app.position = history.last;
  else if (app.playing) {
    app.position = Math.min(history.last, app.position + (milliseconds * 60 * app.speed) / 1000);
    if (app.position >= history.last) app.playing = false;
  }
  app.position = Math.max(app.position, history.first);
}

const motion = matchMedia("(prefers-reduced-motion: reduce)");
let view;
let lastDraw = performance.now();
let lastCharts = 0;

function draw(now) {
  // comes first, so that a frame that cannot be drawn does not stop the drawing of later ones
  requestAnimationFrame(draw);
  step(now - lastDraw);
  lastDraw = now;
  const history = shown();
  const frame = Math.floor(app.position);
  const stage = app.mode === "file" ? app.file.stage : app.stage ?? app.contract.stage(32);
  view.draw({ stage, history, frame, reduced: motion.matches });
  showPlayers(app, history.at(frame));
  showFrame(app, history, frame);
  if (now - lastCharts > CHARTS_MS) {
    lastCharts = now;
    showStatus(app, stage);
    showCharts(app.timing, now);
    showSeat(app);
    showWatchedRow(app);
  }
}

function toggle() {
  if (app.mode === "live") Object.assign(app, { mode: "scrub", playing: false });
  else {
    if (!app.playing && app.position >= shown().last) app.position = shown().first;
    app.playing = !app.playing;
  }
}

function listen() {
  element("play").onclick = toggle;
  element("live").onclick = () => Object.assign(app, { mode: "live", file: null, playing: false });
  element("position").oninput = ({ target }) => {
    if (app.mode === "live") app.mode = "scrub";
    Object.assign(app, { position: Number(target.value), playing: false });
  };
  element("speed").onchange = ({ target }) => (app.speed = Number(target.value));
  element("file").onchange = ({ target }) => openFile(target.files[0]);
  element("leave").onclick = () => app.seat?.leave().catch((error) => (app.seatText = error.message));
  element("settings-toggle").onclick = () => {
    const open = element("settings").hidden;
    element("settings").hidden = !open;
    element("settings-toggle").setAttribute("aria-expanded", String(open));
  };
  element("settings").onsubmit = (event) => {
    event.preventDefault();
    app.unsubscribe = [];
    Object.assign(app, { watched: "", pinned: false, session: null, history: new History(), mode: "live", file: null });
    connect(element("rpc").value, element("ws").value === app.pubsub.url ? "" : element("ws").value);
    remember();
  };
  window.addEventListener("keydown", (event) => {
    if (controls.on || event.target.closest("input:not([type=range]), select, button, summary")) return;
    if (event.code === "Space") {
      event.preventDefault();
      toggle();
    }
  });
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  for (const kind of ["dragenter", "dragover"]) {
    window.addEventListener(kind, (event) => {
      if (!files(event)) return;
      event.preventDefault();
      element("drop").hidden = false;
    });
  }
  window.addEventListener("dragleave", (event) => !event.relatedTarget && (element("drop").hidden = true));
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    element("drop").hidden = true;
    openFile(event.dataTransfer.files[0]);
  });
  document.addEventListener("visibilitychange", list);
}

async function start() {
  const json = await (await fetch("contract.json")).json();
  app.contract = new Contract(json);
  app.key = await throwawayKey();
  view = new StageView(element("stage"), app.contract);
  listen();
  // where the server relays requests, its endpoints are relative to the page
  json.defaults.rpc = new URL(json.defaults.rpc, location.href).href;
  json.defaults.ws = new URL(json.defaults.ws, location.href).href.replace(/^http/, "ws");
  const given = { ...json.defaults, ...settings() };
  // the server's WebSocket endpoint belongs only to the server's RPC endpoint
  connect(given.rpc, given.rpc === json.defaults.rpc || settings().ws ? given.ws : "");
  if (given.session) {
    try {
      fromBase58(given.session);
      watch(given.session, true);
    } catch (error) {
      showBanner(error.message, "bad", 8000);
    }
  }
  setInterval(list, LIST_MS);
  setInterval(quiet, QUIET_MS);
  setInterval(() => app.accounts && app.session?.status === ACTIVE && fill(), RING_MS);
  requestAnimationFrame(draw);
}

start().catch((error) => showBanner(`the page could not start: ${error.message}`, "bad"));

