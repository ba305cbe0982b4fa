// The frames of one match, live or from a match file, and the reading of the frame log's ring.

import { DecodeError, fromBase64 } from "./codec.js";

const FORMAT = "awm-match/1";
const MOST_UNITS = 1000; // the widest stage's blast zones are 700 units apart
const MOST_PLATFORMS = 32;
const MOST_FRAMES = 36_000; // ten minutes stay in memory; older frames are dropped

// A frame: {frame, stage, players: [17 fields] x 2, inputs?, sources?}. Frames may be missing between first and last.
export class History {
  #frames = new Map();

  #most;

  constructor(most = MOST_FRAMES) {
    this.#most = most;
    this.first = 0;
    this.last = -1;
    this.recordSize = 0; // bytes of a record in the ring; 0 until it is known
    this.whole = -1; // all frames from `first` to this one came from the ring, with inputs
  }

  get size() {
    return this.#frames.size;
  }

  add(frame) {
    const known = this.#frames.get(frame.frame);
    // a record from the ring holds the whole frame; a notification holds only a part
    if (!known || !known.sources) this.#frames.set(frame.frame, frame);
    if (this.last < 0) this.first = frame.frame;
    this.first = Math.min(this.first, frame.frame);
    this.last = Math.max(this.last, frame.frame);
    while (this.last - this.first >= this.#most) this.#frames.delete(this.first++);
  }

  // the frame with that number, or else the last one before it
  at(number) {
    for (let n = Math.min(number, this.last); n >= this.first && n > number - 120; n--) {
      const frame = this.#frames.get(n);
      if (frame) return frame;
    }
    return null;
  }

  get(number) {
    return this.#frames.get(number) ?? null;
  }
}

// Reads the new records of a session's frame log into its history, in slices. Returns how many. The hidden state says
// how many bytes a player of extra feedback follow each record; without its key there are none.
export async function readRing(rpc, contract, key, history, hiddenKey) {
  const { FrameLog, FrameRecord, HiddenState } = contract.layouts;
  const head = await rpc.slice(key, 0, FrameLog.size);
  if (!head) return 0;
  const log = FrameLog.decode(head);
  const { capacity, total_frames: total } = log;
  const start = Math.max(1, total - capacity + 1, history.whole + 1);
  if (!capacity || start > total) return 0;
  const [begin, finish] = [(start - 1) % capacity, (total - 1) % capacity];
  if (!history.recordSize) {
    const hidden = hiddenKey && await rpc.slice(hiddenKey, 0, HiddenState.size);
    if (hiddenKey && !hidden) return 0;
    history.recordSize = FrameRecord.size + (hidden ? 2 * (HiddenState.decode(hidden).holds >> 4) : 0);
  }
  const size = history.recordSize;
  const spans = begin <= finish ? [[begin, finish + 1]] : [[begin, capacity], [0, finish + 1]];
  let count = 0;
  for (const [low, high] of spans) {
    const data = await rpc.slice(key, FrameLog.size + low * size, (high - low) * size);
    if (!data) return count;
    for (let at = 0; at + size <= data.length; at += size) {
      const record = contract.record(data, at);
      // the ring advances while it is read, so a record may already be a later frame's
      if (record.frame < start) continue;
      history.add(record);
      count++;
    }
  }
  history.whole = Math.max(history.whole, total);
  return count;
}

const isText = (value) => typeof value === "string" && value.length < 100;
const areNumbers = (object, names) => names.every((name) => Number.isFinite(object?.[name]));
const areLengths = (object, names) => names.every((name) => Math.abs(object?.[name]) <= MOST_UNITS);
const isLine = (line) => areLengths(line, ["x_min", "x_max", "y"]) && line.x_min <= line.x_max;

// Whether the stage can be drawn. A file with an unknown stage has no geometry, and a stranger's file can claim
// anything: a stage of a billion units would take the page minutes for each frame.
function isStage(geometry) {
  const zones = geometry?.blast_zones;
  return isLine(geometry?.ground) && areLengths(zones, ["left", "right", "top", "bottom"])
    && zones.left < zones.right && zones.bottom < zones.top && isText(geometry.name)
    && Array.isArray(geometry.platforms) && geometry.platforms.length <= MOST_PLATFORMS && geometry.platforms.every(isLine);
}

// The content of a match file: {meta, stage, history}. Throws a DecodeError that says what is wrong with the file.
export function parseMatchFile(text, contract) {
  let file;
  try {
    file = JSON.parse(text);
  } catch (error) {
    throw new DecodeError(`not JSON: ${error.message}`);
  }
  const { meta, frames } = file ?? {};
  if (meta?.format !== FORMAT) throw new DecodeError(`no match file: meta.format is ${meta?.format}, expected ${FORMAT}`);
  if (!["session", "player1", "player2"].every((name) => isText(meta[name]))) throw new DecodeError("meta names no session and players");
  if (!Array.isArray(frames) || !frames.length) throw new DecodeError("no frames in it");
  const fields = contract.layouts.PlayerState.fields;
  const records = Array.isArray(file.records) ? file.records : [];
  const history = new History(Infinity);
  frames.forEach((frame, number) => {
    const players = frame?.players;
    if (!Array.isArray(players) || players.length !== 2 || !players.every((player) => areNumbers(player, fields))) {
      throw new DecodeError(`frame ${number} has no two players with all their ${fields.length} fields`);
    }
    const record = number && records[number - 1] ? contract.record(fromBase64(records[number - 1])) : null;
    history.add({ frame: number, stage: frame.stage, players, inputs: record?.inputs, sources: record?.sources });
  });
  return { meta, stage: isStage(file.stage_geometry) ? file.stage_geometry : contract.stage(frames[0].stage), history };
}
