// The parts of the page outside the canvas. Each function shows its arguments, and changes the DOM only where needed.

import { ACTIVE, ENDED, STATUS, WAITING } from "./codec.js";
import { BUTTONS as PAD } from "./contract.js";
import { chart, percentile } from "./timing.js";

const BUTTONS = ["A", "B", "X", "Y", "Z"].map((name) => [name, "buttons", PAD[name]]);
const SOURCES = ["fresh", "held", "none"];
const LISTED = 30;
const MOST_STOCKS = 4;
const SLOW_MS = 25;

export const element = (id) => document.getElementById(id);
const short = (key) => `${key.slice(0, 4)}…${key.slice(-4)}`;

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// sets text only where it changes, because this runs sixty times a second
const shownTexts = new WeakMap();
function text(node, value) {
  if (shownTexts.get(node) === value) return;
  shownTexts.set(node, value);
  node.textContent = value;
}

// ---- players

let cards;

function card(number) {
  const parts = {
    percent: make("span"), key: make("em"), you: make("span"), stocks: make("span", { className: "stocks" }),
    action: make("span", { className: "action" }), dot: make("i"), input: make("div", { className: "input" }),
    buttons: [...BUTTONS, ["L", "trigger_l", 255]].map(([name, field, bits]) => [make("span", { textContent: name }), field, bits]),
  };
  const box = element(`p${number + 1}`);
  parts.box = box;
  parts.percentBox = make("div", { className: "percent" }, parts.percent, make("small", { textContent: " %" }));
  parts.input.append(make("div", { className: "stick" }, parts.dot), make("div", { className: "pressed" }, ...parts.buttons.map(([span]) => span)));
  const name = make("b", {}, make("span", { textContent: `P${number + 1}` }), parts.you, " ", parts.key);
  box.replaceChildren(parts.percentBox, make("div", { className: "who" }, name, parts.stocks, parts.action), parts.input);
  return parts;
}

function stocks(count) {
  const left = Math.max(0, Math.min(MOST_STOCKS, Math.floor(count)));
  return "●".repeat(left) + "○".repeat(MOST_STOCKS - left);
}

// from white through yellow to red, as damage grows
function heat(percent) {
  const part = Math.min(1, percent / 150);
  return `hsl(${Math.round(48 - 48 * part)} ${Math.round(100 * Math.min(1, part * 2))}% ${Math.round(96 - 30 * part)}%)`;
}

export function showPlayers(app, frame) {
  cards ??= [card(0), card(1)];
  cards.forEach((parts, number) => {
    const player = frame?.players[number];
    const owner = app.mode === "file" ? app.file.meta[`player${number + 1}`] : app.session?.[`player${number + 1}`];
    text(parts.key, owner && !/^1+$/.test(owner) ? short(owner) : "");
    text(parts.you, owner && owner === app.key?.text && app.mode !== "file" ? " (you)" : "");
    text(parts.percent, player ? String(player.percent) : "–");
    text(parts.stocks, player ? stocks(player.stocks) : "");
    text(parts.action, player ? app.contract.action(player.action_state) : "");
    if (!player) return;
    if (parts.x !== player.x) parts.box.dataset.x = parts.x = player.x;
    if (parts.y !== player.y) parts.box.dataset.y = parts.y = player.y;
    if (parts.heat !== player.percent) {
      parts.heat = player.percent;
      parts.percentBox.style.setProperty("--heat", heat(player.percent));
    }
    const input = frame.inputs?.[number];
    if (!input || parts.shownInput === input) return;
    parts.shownInput = input;
    parts.input.dataset.source = SOURCES[frame.sources?.[number] ?? 0];
    parts.box.dataset.stick = input.stick_x;
    parts.dot.style.setProperty("--x", Math.max(-1, Math.min(1, input.stick_x / 80)));
    parts.dot.style.setProperty("--y", Math.max(-1, Math.min(1, input.stick_y / 80)));
    for (const [span, field, bits] of parts.buttons) {
      span.className = (field === "buttons" ? input.buttons & bits : input.trigger_l > 40) ? "on" : "";
    }
  });
}

// ---- the scrubber

export function showFrame(app, history, frame) {
  const range = element("position");
  const empty = history.last < 0;
  if (Number(range.max) !== history.last || Number(range.min) !== history.first) {
    range.min = empty ? 0 : history.first;
    range.max = empty ? 0 : history.last;
  }
  if (document.activeElement !== range || app.mode === "live" || app.playing) range.value = frame;
  const shown = empty ? "–" : `${frame.toLocaleString("en")} / ${history.last.toLocaleString("en")}`;
  text(element("frame"), shown);
  element("frame").dataset.frame = empty ? "" : frame;
  const moving = app.mode === "live" || app.playing;
  text(element("play"), moving ? "❚❚" : "▶");
  element("play").setAttribute("aria-label", moving ? "Pause" : "Play");
  element("live").setAttribute("aria-pressed", String(app.mode === "live"));
  text(element("live"), app.mode === "file" ? "Back to live" : "Live");
}

// ---- status line and banner

let notice = null;

export function showBanner(message, kind = "", milliseconds = Infinity) {
  notice = message && { message, kind, until: performance.now() + milliseconds };
  banner(notice);
}

function banner(what) {
  const node = element("banner");
  node.hidden = !what;
  if (what) {
    text(node, what.message);
    node.dataset.kind = what.kind;
  }
}

function situation(app) {
  if (app.mode === "file") return null;
  if (!app.up) {
    const ever = app.pubsub.slot > 0;
    return { message: ever ? "Connection lost. Trying again…" : `No answer from ${app.pubsub.url} yet. Trying…`, kind: "bad" };
  }
  if (app.gone) return { message: "This session is not on this chain (any more).", kind: "" };
  if (!app.watched) return app.listed ? { message: "No sessions on this chain yet.", kind: "" } : null;
  if (app.session?.status === WAITING) return { message: app.seatBusy ? app.seatText : "Waiting for player 2", kind: "" };
  return null;
}

export function showStatus(app, stage) {
  if (notice && performance.now() > notice.until) notice = null;
  banner(notice ?? situation(app));
  const status = element("status");
  let [state, words] = ["connecting", "Connecting…"];
  if (app.mode === "file") [state, words] = ["file", app.file.name];
  else if (app.up) [state, words] = ["live", `Connected · slot ${app.pubsub.slot.toLocaleString("en")}`];
  else if (app.pubsub.slot) [state, words] = ["lost", "Connection lost"];
  status.dataset.state = state;
  text(status.querySelector("span"), words);
  const session = app.mode === "file" ? app.file.meta.session : app.watched;
  const what = app.mode !== "file" && app.session ? ` · ${STATUS[app.session.status]}` : "";
  text(element("place"), session ? `${stage.name} · ${short(session)}${what}` : "");
}

// ---- sessions

// A session keeps its row. A row that is replaced under a finger or a cursor would lose the click.
const rows = new Map();

function newRow(key, { watch, play }) {
  const parts = {
    badge: make("span"), frame: make("span"),
    join: make("button", { className: "primary join", textContent: "Play", onclick: () => play(key) }),
  };
  parts.watch = make("button", { className: "watch", title: key, onclick: () => watch(key) }, parts.badge,
    make("code", { textContent: short(key) }), parts.frame);
  parts.item = make("li", {}, parts.watch, parts.join);
  return parts;
}

function showRowFrame(parts, status, frame) {
  text(parts.frame, status >= ACTIVE ? `frame ${frame.toLocaleString("en")}` : "");
}

// the session on the screen is more recent than the list
export function showWatchedRow({ session, watched }) {
  if (session && rows.has(watched)) showRowFrame(rows.get(watched), session.status, session.frame);
}

export function showSessions(app, actions) {
  const list = element("sessions");
  const shown = app.sessions.slice(0, LISTED);
  const keys = new Set(shown.map(({ key }) => key));
  for (const [key, { item }] of rows) {
    if (keys.has(key)) continue;
    item.remove();
    rows.delete(key);
  }
  shown.forEach(({ key, status, frame, player1 }, at) => {
    if (!rows.has(key)) rows.set(key, newRow(key, actions));
    const parts = rows.get(key);
    text(parts.badge, STATUS[status]);
    parts.badge.className = `badge ${STATUS[status]}`;
    showRowFrame(parts, status, frame);
    parts.watch.setAttribute("aria-current", String(key === app.watched));
    parts.join.hidden = status !== WAITING || player1 === app.key.text;
    parts.join.disabled = app.seatBusy;
    if (list.children[at] !== parts.item) list.insertBefore(parts.item, list.children[at] ?? null);
  });
  const active = app.sessions.filter(({ status }) => status === ACTIVE).length;
  const more = app.sessions.length > LISTED ? `, ${LISTED} shown` : "";
  text(element("sessions-note"), app.sessions.length ? `${active} live of ${app.sessions.length}${more}` : "None on this chain yet.");
}

// ---- seat and timing

export function showSeat(app) {
  const { seat, session, key } = app;
  const playing = Boolean(seat) && session?.status === ACTIVE;
  element("seat").dataset.on = String(playing);
  element("leave").hidden = !playing;
  element("touch").hidden = !playing || !matchMedia("(pointer: coarse), (max-width: 900px)").matches;
  let words = "Join a waiting session from the list: this tab makes a throwaway key and plays with it.";
  if (app.seatText) words = app.seatText;
  else if (playing) {
    words = `You are P${session.player1 === key.text ? 1 : 2}, with throwaway key ${short(key.text)}. ${seat.sent.toLocaleString("en")} inputs sent.`;
    if (seat.refused) words += ` The last one was refused: ${seat.refused}`;
  } else if (seat && session?.status === ENDED) words = "The match is over.";
  text(element("seat-text"), words);
}

export function showCharts(timing, now) {
  const intervals = timing.intervals.map(([interval]) => interval);
  const rate = timing.rate(now);
  text(element("interval"), rate ? `${rate.toFixed(1)} a second` : "–");
  chart(element("chart-interval"), intervals, { top: 50, guide: 1000 / 60, colour: "#5fe3a1", mark: (value) => value > SLOW_MS });
  const { latencies } = timing;
  text(element("latency"), latencies.length
    ? `${percentile(latencies, 0.5).toFixed(1)} ms, p99 ${percentile(latencies, 0.99).toFixed(1)}` : "–");
  chart(element("chart-latency"), latencies, { top: 34, guide: 1000 / 60, colour: "#4dd4ff" });
  text(element("missed"), timing.arrivals.length ? String(timing.missedBySecond.reduce((sum, each) => sum + each, 0)) : "–");
  chart(element("chart-missed"), timing.missedBySecond, { top: 6, colour: "#ff6b6b", count: 60, bars: true });
}
