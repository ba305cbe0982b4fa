// The wireframe: stage, fighters, hit effects. The frames alone decide what is drawn, so a frame looks the same live,
// after scrubbing, and from a file.

export const COLOURS = ["#ff6b6b", "#4dd4ff"];
const HIT_FRAMES = 14;
const KO_FRAMES = 48;
const SETTLED_FRAMES = 180;
const TRAIL_FRAMES = 10;
const LEAST_WIDTH = 170; // game units that are always visible
const MARGIN = 34;
const MOST_LINES = 500;

// the names of actions by the pose that shows them
const POSES = {
  walk: "run", dash: "run", run: "run", brake: "run", turn: "run", "jump squat": "crouch", crouch: "crouch",
  landing: "crouch", "aerial landing": "crouch", jump: "rise", "air jump": "rise", fall: "fall", "helpless fall": "fall",
  tumble: "spin", hurt: "hurt", stunned: "hurt", thrown: "spin", grabbed: "hurt", jab: "strike", "dash attack": "strike",
  tilt: "strike", smash: "strike", aerial: "strike", special: "strike", item: "strike", grab: "strike", throw: "strike",
  shield: "shield", dodge: "shield", "knocked down": "lie", tech: "crouch", ledge: "hang",
};

// joints in body units: the fighter faces +x, and its feet are at y 0
function joints(pose, player) {
  const age = player.state_age;
  const sway = Math.sin(age / 11) * 0.4;
  const still = { hip: [0, 7.5], chest: [0.4, 13], head: [0.9, 17.2 + sway * 0.3], feet: [[-2.6, 0], [2.8, 0]],
    hands: [[-2.2, 8.6 + sway], [4.4, 11 + sway]] };
  if (pose === "run") {
    const turn = player.x * 0.22;
    const swing = (phase) => [Math.sin(turn + phase) * 5, Math.max(0, Math.cos(turn + phase)) * 3];
    return { hip: [0.4, 7.2], chest: [2.4, 12.4], head: [3.8, 16.4], feet: [swing(0), swing(Math.PI)],
      hands: [[2.4 - Math.sin(turn) * 4.5, 8.5], [2.4 + Math.sin(turn) * 4.5, 9.5]] };
  }
  if (pose === "crouch") {
    return { hip: [-1, 4.2], chest: [1.2, 8.8], head: [2.4, 12.6], feet: [[-3.4, 0], [3.2, 0]], hands: [[-2.6, 5], [5, 6.5]] };
  }
  if (pose === "rise") {
    return { ...still, chest: [0.8, 13.4], head: [1.2, 17.8], feet: [[-2.2, -0.6], [2.6, 4]], hands: [[-3.4, 16.5], [4, 17.5]] };
  }
  if (pose === "fall") {
    return { ...still, feet: [[-2.8, 1.4], [2, 0.4]], hands: [[-5, 14.5 + sway], [5.4, 14.5 - sway]] };
  }
  if (pose === "strike") {
    const reach = Math.min(1, (age + 2) / 5) * Math.max(0.35, 1 - Math.max(0, age - 8) / 18);
    return { ...still, chest: [1.2, 12.8], head: [1.8, 17], feet: [[-3.6, 0], [3.4 + 2 * reach, 0.6]],
      hands: [[-2.4, 10], [3 + 8.5 * reach, 12.6]] };
  }
  if (pose === "hurt") {
    return { ...still, hip: [0.8, 7.2], chest: [-1.6, 12.2], head: [-3.4, 15.8], feet: [[-1.4, 0], [4.6, 1.6]],
      hands: [[4, 14], [2.8, 9]] };
  }
  if (pose === "shield") {
    return { ...still, hip: [-0.6, 6], chest: [0.4, 11], head: [1, 15], hands: [[3.2, 9], [4.4, 11.6]] };
  }
  if (pose === "hang") {
    return { ...still, hands: [[2.6, 21], [4.6, 21]] };
  }
  return still;
}

// The multiples of `step` from `low` to below `high`. Their number is limited, so that drawing them is quick even where
// a stranger's file has enormous numbers.
export function every(step, low, high) {
  const first = Math.ceil(low / step);
  const count = Math.min(MOST_LINES, Math.ceil(high / step) - first);
  return Array.from({ length: count > 0 ? count : 0 }, (_, at) => (first + at) * step);
}

function bend(from, to, by) {
  return [(from[0] + to[0]) / 2 + by, (from[1] + to[1]) / 2];
}

export class StageView {
  #camera = null;
  #size = [0, 0, 1];

  constructor(canvas, contract) {
    this.canvas = canvas;
    this.contract = contract;
    this.context = canvas.getContext("2d", { alpha: false });
  }

  // Draws frame `frame` of `history` on `stage`. reduced: leaves out motion that is only decoration.
  draw({ stage, history, frame, reduced = false }) {
    const context = this.context;
    this.#fit();
    const [width, height, ratio] = this.#size;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#0a0d14";
    context.fillRect(0, 0, width, height);
    const now = history?.at(frame);
    this.#move(now, stage);
    const camera = this.#camera;
    const scale = width / camera.width;
    const flash = now ? this.#shake(history, now, reduced) : 0;
    // world to pixels, y up
    context.setTransform(scale, 0, 0, -scale, width / 2 - camera.x * scale + flash * scale, height / 2 + camera.y * scale);
    this.unit = ratio / scale; // one CSS pixel in game units
    this.#grid(camera, height / scale);
    this.#ground(stage);
    if (!now) return;
    this.#effects(history, now);
    now.players.forEach((player, number) => this.#trail(history, now, number, player));
    now.players.forEach((player, number) => this.#fighter(player, number));
    this.#edges(now, camera, scale, width, height, ratio);
    this.#words(history, now, width, height, ratio);
  }

  #fit() {
    const { canvas } = this;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = Math.max(1, width);
      canvas.height = Math.max(1, height);
    }
    this.#size = [canvas.width, canvas.height, ratio];
  }

  // follows both fighters smoothly, but not beyond the blast zones
  #move(now, stage) {
    const zones = stage.blast_zones ?? { left: -240, right: 240, top: 190, bottom: -130 };
    const seen = (now?.players ?? []).filter((player) => player.stocks > 0);
    const xs = seen.map((player) => Math.max(zones.left, Math.min(zones.right, player.x)));
    const ys = seen.map((player) => Math.max(zones.bottom, Math.min(zones.top, player.y)));
    const [low, high] = [Math.min(...xs, -60) - MARGIN, Math.max(...xs, 60) + MARGIN];
    const [under, over] = [Math.min(...ys, -20) - 14, Math.max(...ys, 40) + 30];
    const aspect = this.#size[0] / this.#size[1];
    const width = Math.max(LEAST_WIDTH, high - low, (over - under) * aspect);
    const wanted = { x: (low + high) / 2, y: (under + over) / 2, width };
    const camera = this.#camera ?? wanted;
    const pace = 0.12;
    this.#camera = {
      x: camera.x + (wanted.x - camera.x) * pace, y: camera.y + (wanted.y - camera.y) * pace,
      width: camera.width + (wanted.width - camera.width) * pace,
    };
  }

  #line(points, colour, thickness) {
    const context = this.context;
    context.beginPath();
    points.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.strokeStyle = colour;
    context.lineWidth = thickness * this.unit;
    context.stroke();
  }

  #grid(camera, tall) {
    const step = 20;
    const context = this.context;
    context.beginPath();
    const [left, right] = [camera.x - camera.width / 2, camera.x + camera.width / 2];
    const [bottom, top] = [camera.y - tall / 2, camera.y + tall / 2];
    for (const x of every(step, left, right)) {
      context.moveTo(x, bottom);
      context.lineTo(x, top);
    }
    for (const y of every(step, bottom, top)) {
      context.moveTo(left, y);
      context.lineTo(right, y);
    }
    context.strokeStyle = "#131926";
    context.lineWidth = this.unit;
    context.stroke();
  }

  #ground(stage) {
    const context = this.context;
    context.lineJoin = context.lineCap = "round";
    if (stage.blast_zones) {
      const { left, right, top, bottom } = stage.blast_zones;
      context.setLineDash([4 * this.unit, 6 * this.unit]);
      this.#line([[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]], "#5b2b3c", 1.5);
      context.setLineDash([]);
    }
    if (stage.ground) {
      const { x_min: left, x_max: right, y } = stage.ground;
      const body = [[left, y], [left + 9, y - 9], [left + 34, y - 22], [right - 34, y - 22], [right - 9, y - 9], [right, y]];
      this.#line(body, "#32405c", 1.2);
      for (const x of every(17, 0, right - left - 27)) {
        const at = left + 17 + x;
        this.#line([[at, y], [at * 0.6, y - 22]], "#1d2639", 1);
      }
      this.#line([[left, y], [right, y]], "#dfe7f5", 2.5);
    }
    for (const platform of stage.platforms ?? []) {
      this.#line([[platform.x_min, platform.y], [platform.x_max, platform.y]], "#a9b6cf", 2);
    }
  }

  #trail(history, now, number, player) {
    if (player.stocks <= 0) return;
    let last = [player.x, player.y + 9];
    for (let back = 1; back <= TRAIL_FRAMES; back++) {
      const before = history.get(now.frame - back)?.players[number];
      if (!before || Math.hypot(before.x - last[0], before.y + 9 - last[1]) > 60) break;
      const point = [before.x, before.y + 9];
      const fade = Math.round(70 * (1 - back / TRAIL_FRAMES)).toString(16).padStart(2, "0");
      this.#line([last, point], COLOURS[number] + fade, 3);
      last = point;
    }
  }

  #fighter(player, number) {
    const word = this.contract.action(player.action_state);
    if (player.stocks <= 0 || word === "knocked out") return;
    const context = this.context;
    const colour = COLOURS[number];
    const pose = POSES[word] ?? (player.on_ground ? "still" : "fall");
    const body = joints(pose, player);
    context.save();
    context.translate(player.x, player.y);
    context.scale(player.facing ? 1 : -1, 1);
    if (pose === "lie") context.transform(0, 1, -1, 0, 9, 2);
    if (pose === "spin") {
      context.translate(0, 9);
      context.rotate(-player.state_age * 0.35);
      context.translate(0, -9);
    }
    const { hip, chest, head, feet, hands } = body;
    const limbs = [
      [head, chest, hip],
      [hip, bend(hip, feet[0], 1.4), feet[0]], [hip, bend(hip, feet[1], 1.6), feet[1]],
      [chest, bend(chest, hands[0], -1.2), hands[0]], [chest, bend(chest, hands[1], -0.6), hands[1]],
    ];
    for (const [tone, thickness] of [[colour + "38", 8], [player.hitlag ? "#ffffff" : colour, 2.4]]) {
      for (const limb of limbs) this.#line(limb, tone, thickness);
      context.beginPath();
      context.arc(head[0], head[1] + 1.6, 2.3, 0, 7);
      context.fillStyle = "#0a0d14";
      context.fill();
      context.stroke();
    }
    if (pose === "shield" && word === "shield") {
      context.beginPath();
      context.arc(0.6, 9, 4 + 8 * (player.shield_strength / 60), 0, 7);
      context.fillStyle = colour + "22";
      context.fill();
      context.strokeStyle = colour + "cc";
      context.lineWidth = 1.5 * this.unit;
      context.stroke();
    }
    context.restore();
    this.#text(`P${number + 1}`, player.x, player.y + 25, 12, colour);
  }

  // upright text at a position in the world; size in CSS pixels
  #text(text, x, y, size, colour) {
    const context = this.context;
    context.save();
    context.translate(x, y);
    context.scale(this.unit, -this.unit);
    context.font = `700 ${size}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.fillStyle = colour;
    context.fillText(text, 0, 0);
    context.restore();
  }

  // what happened to a player in the step to frame n: {hit: percent gained} or {ko: true}
  static happened(history, n, number) {
    const [before, after] = [history.get(n - 1)?.players[number], history.get(n)?.players[number]];
    if (!before || !after) return {};
    // a stock that flickers counts as lost once
    const lost = after.stocks < before.stocks;
    for (let back = 2; lost && back < SETTLED_FRAMES; back++) {
      if ((history.get(n - back)?.players[number].stocks ?? 4) <= after.stocks) return {};
    }
    if (lost) return { ko: true, at: before };
    return { hit: Math.max(0, after.percent - before.percent), at: after };
  }

  #shake(history, now, reduced) {
    if (reduced) return 0;
    for (let back = 0; back < 10; back++) {
      if ([0, 1].some((number) => StageView.happened(history, now.frame - back, number).ko)) {
        return Math.sin(back * 2.2) * (10 - back) * 0.35;
      }
    }
    return 0;
  }

  #effects(history, now) {
    const context = this.context;
    for (let back = KO_FRAMES; back >= 0; back--) {
      for (const number of [0, 1]) {
        const { hit, ko, at } = StageView.happened(history, now.frame - back, number);
        if (hit && back < HIT_FRAMES) {
          const part = back / HIT_FRAMES;
          const size = 5 + Math.min(hit, 20) * 0.6;
          const fade = Math.round(255 * (1 - part)).toString(16).padStart(2, "0");
          for (let ray = 0; ray < 8; ray++) {
            const angle = (ray * Math.PI) / 4 + (now.frame - back);
            const [from, to] = [size * (0.3 + part), size * (0.7 + part * 1.4)];
            this.#line([[at.x + Math.cos(angle) * from, at.y + 10 + Math.sin(angle) * from],
              [at.x + Math.cos(angle) * to, at.y + 10 + Math.sin(angle) * to]], "#ffe08a" + fade, 2.2);
          }
          this.#text(`+${hit}`, at.x + 9, at.y + 20 + part * 8, 13, "#ffe08a" + fade);
        }
        if (ko) {
          const part = back / KO_FRAMES;
          const fade = Math.round(200 * (1 - part)).toString(16).padStart(2, "0");
          for (const ring of [0, 0.25, 0.5]) {
            if (part < ring) continue;
            context.beginPath();
            context.arc(at.x, at.y, (part - ring) * 150 + 2, 0, 7);
            context.strokeStyle = COLOURS[number] + fade;
            context.lineWidth = 4 * this.unit;
            context.stroke();
          }
          this.#line([[at.x, at.y], [at.x * 0.2, at.y * 0.2 + 20]], COLOURS[number] + fade, 10 * (1 - part));
        }
      }
    }
  }

  // a fighter outside the picture is shown as an arrow at the edge
  #edges(now, camera, scale, width, height, ratio) {
    const context = this.context;
    now.players.forEach((player, number) => {
      if (player.stocks <= 0) return;
      const x = (player.x - camera.x) * scale + width / 2;
      const y = height / 2 - (player.y + 9 - camera.y) * scale;
      if (x >= 0 && x <= width && y >= 0 && y <= height) return;
      const inset = 18 * ratio;
      context.save();
      context.setTransform(1, 0, 0, 1, Math.max(inset, Math.min(width - inset, x)), Math.max(inset, Math.min(height - inset, y)));
      context.rotate(Math.atan2(y - height / 2, x - width / 2));
      context.beginPath();
      context.moveTo(10 * ratio, 0);
      context.lineTo(-6 * ratio, 7 * ratio);
      context.lineTo(-6 * ratio, -7 * ratio);
      context.closePath();
      context.fillStyle = COLOURS[number];
      context.fill();
      context.restore();
    });
  }

  #words(history, now, width, height, ratio) {
    const context = this.context;
    const over = now.players.some((player) => player.stocks <= 0);
    let word = "";
    for (let back = 0; back < KO_FRAMES && !word; back++) {
      if ([0, 1].some((number) => StageView.happened(history, now.frame - back, number).ko)) word = "KO";
    }
    if (over) word = "GAME";
    if (!word) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.font = `800 ${Math.round(Math.min(width / 6, 96 * ratio))}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.lineWidth = 6 * ratio;
    context.strokeStyle = "#0a0d14";
    context.fillStyle = "#ffffff";
    context.strokeText(word, width / 2, height * 0.36);
    context.fillText(word, width / 2, height * 0.36);
  }
}
