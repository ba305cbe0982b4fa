// How frames arrive at this page: interval, input-to-frame latency and missed ticks, with their small charts.

const FRAME_MS = 1000 / 60;
const KEPT = 240;
const SECONDS = 60;

export class Timing {
  constructor() {
    this.reset();
  }

  reset() {
    this.intervals = []; // [milliseconds, frames in that time], the newest last
    this.latencies = []; // milliseconds
    this.missedBySecond = []; // one entry for each second, the current one last
    this.missed = 0;
    this.arrivals = []; // when each of the last frames arrived
    this.#given = new Map();
    this.#last = null;
    this.#second = null;
    this.#behind = 0;
  }

  #given; // frame -> when both inputs for it were seen
  #last;
  #second;
  #behind; // milliseconds behind the schedule, less than a tick

  // called when both players' inputs for a frame are in the input buffer
  inputs(frame, at) {
    if (!this.#given.has(frame)) this.#given.set(frame, at);
    this.#given.delete(frame - 8);
  }

  frame(frame, at) {
    const given = this.#given.get(frame);
    if (given !== undefined) push(this.latencies, at - given, KEPT);
    push(this.arrivals, at, KEPT);
    if (this.#last && frame > this.#last.frame) {
      const interval = at - this.#last.at;
      push(this.intervals, [interval, frame - this.#last.frame], KEPT);
      // a late frame after which the next one is early has missed no tick: only a lasting delay counts
      this.#behind = Math.max(0, this.#behind + interval - (frame - this.#last.frame) * FRAME_MS);
      const missed = Math.floor(this.#behind / FRAME_MS + 1e-6);
      this.#behind -= missed * FRAME_MS;
      this.#count(missed, at);
    }
    this.#last = { frame, at };
  }

  #count(missed, at) {
    const second = Math.floor(at / 1000);
    if (this.#second === null) this.missedBySecond.push(0);
    else for (let n = this.#second; n < Math.min(second, this.#second + SECONDS); n++) push(this.missedBySecond, 0, SECONDS);
    this.#second = second;
    this.missedBySecond[this.missedBySecond.length - 1] += missed;
    this.missed += missed;
  }

  // frames per second over the last two seconds
  rate(now) {
    const recent = this.arrivals.filter((at) => now - at < 2000);
    if (recent.length < 2) return 0;
    return ((recent.length - 1) * 1000) / (recent[recent.length - 1] - recent[0]);
  }
}

function push(list, value, most) {
  list.push(value);
  if (list.length > most) list.shift();
}

export function percentile(values, part) {
  if (!values.length) return 0;
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

// A chart as wide as its canvas: values as a line (or bars), a horizontal guide, and a scale from 0 to `top`.
export function chart(canvas, values, { top, guide = 0, colour, count = KEPT, bars = false, mark = () => false }) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const y = (value) => height - 2 - (Math.min(value, top) / top) * (height - 6);
  const x = (at) => ((count - values.length + at + 0.5) / count) * width;
  if (guide) {
    context.strokeStyle = "#3a465f";
    context.setLineDash([3 * ratio, 4 * ratio]);
    context.beginPath();
    context.moveTo(0, y(guide));
    context.lineTo(width, y(guide));
    context.stroke();
    context.setLineDash([]);
  }
  if (bars) {
    const thick = Math.max(1, (width / count) * 0.7);
    values.forEach((value, at) => {
      context.fillStyle = value ? colour : "#263048";
      context.fillRect(x(at) - thick / 2, value ? y(value) : height - 3 * ratio, thick, value ? height - y(value) : 2 * ratio);
    });
    return;
  }
  context.beginPath();
  values.forEach((value, at) => (at ? context.lineTo(x(at), y(value)) : context.moveTo(x(at), y(value))));
  context.strokeStyle = colour;
  context.lineWidth = 1.4 * ratio;
  context.stroke();
  context.fillStyle = "#ff6b6b";
  values.forEach((value, at) => mark(value) && context.fillRect(x(at) - ratio, y(value) - ratio, 2 * ratio, 3 * ratio));
}
