/** A minute of mel columns on a canvas, newest at the right edge. */

const KEPT = 1500;
const A_SECOND = 25;
const DELAY = 6;
const STOPS = ["--heat-0", "--heat-1", "--heat-2", "--heat-3", "--heat-4"];
const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

/** 256 colours between the theme's five. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  const stops = STOPS.map((name) => [1, 3, 5].map((i) => parseInt(style.getPropertyValue(name).trim().slice(i, i + 2), 16)));
  const colours = new Uint8ClampedArray(1024);
  for (let value = 0; value < 256; value++) {
    const place = Math.min(1, Math.max(0, (value - 70) / 175)) ** 1.6 * (stops.length - 1);
    const below = Math.min(stops.length - 2, Math.floor(place));
    for (let part = 0; part < 3; part++) {
      colours[4 * value + part] = stops[below][part] + (place - below) * (stops[below + 1][part] - stops[below][part]);
    }
    colours[4 * value + 3] = 255;
  }
  return colours;
}

export class Spectrogram {
  paused = false;
  #canvas;
  #tape = document.createElement("canvas");
  #values = null;
  #bins = 0;
  #first = 0;
  #head = -1;
  #shown = -1;
  #drawn = 0;
  #marks = [];
  #colours = palette();

  constructor(canvas) {
    this.#canvas = canvas;
    dark.addEventListener("change", () => { this.#colours = palette(); this.#paint(this.#first, this.#head); this.#draw(); });
    const step = (now) => {
      if (!canvas.isConnected && this.#drawn) return;
      const elapsed = now - this.#drawn;
      if (!this.paused && elapsed > (still.matches ? 2000 : 30)) { this.#advance(elapsed); this.#drawn = now; }
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** Seconds that fit on the canvas. */
  get seconds() { return this.#canvas.clientWidth < 500 ? 15 : 30; }

  /** Columns from number `first` on, `data` a byte a mel bin, lowest first. */
  push(first, bins, data) {
    if (bins !== this.#bins || first <= this.#head) {
      this.#bins = bins;
      this.#tape.width = KEPT;
      this.#tape.height = bins;
      this.#values = new Uint8Array(KEPT * bins);
      this.#first = first;
      this.#shown = -1;
      this.#marks = [];
    } else if (first > this.#head + 1) {
      for (let column = Math.max(this.#head + 1, first - KEPT); column < first; column++) {
        this.#values.fill(0, (column % KEPT) * bins, (column % KEPT + 1) * bins);
      }
    }
    const count = data.length / bins;
    for (let i = 0; i < count; i++) this.#values.set(data.subarray(i * bins, (i + 1) * bins), ((first + i) % KEPT) * bins);
    this.#head = first + count - 1;
    this.#first = Math.max(this.#first, this.#head - KEPT + 1);
    this.#paint(first, this.#head);
  }

  /** Marks now with a word. */
  mark(label) {
    this.#marks.push([this.#head, label]);
    if (this.#marks.length > 30) this.#marks.shift();
  }

  #paint(first, last) {
    if (!this.#values) return;
    const context = this.#tape.getContext("2d");
    const strip = context.createImageData(1, this.#bins);
    for (let column = Math.max(first, this.#first); column <= last; column++) {
      const place = column % KEPT;
      for (let bin = 0; bin < this.#bins; bin++) {
        const value = 4 * this.#values[place * this.#bins + bin];
        strip.data.set(this.#colours.subarray(value, value + 4), 4 * (this.#bins - 1 - bin));
      }
      context.putImageData(strip, place, 0);
    }
  }

  /** Moves on evenly although columns come in fives. */
  #advance(elapsed) {
    if (this.#head < 0) return;
    const next = this.#shown + elapsed * A_SECOND / 1000;
    this.#shown = still.matches ? this.#head : Math.min(this.#head, Math.max(next, this.#head - 3 * DELAY));
    this.#draw();
  }

  #draw() {
    const canvas = this.#canvas;
    const scale = Math.min(2, devicePixelRatio);
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (!width || !this.#values) return;
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const context = canvas.getContext("2d");
    const visible = this.seconds * A_SECOND;
    const a_column = width / visible;
    const end = this.#shown + 1 - DELAY * !still.matches;
    const start = end - visible;
    context.clearRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    for (let from = Math.max(Math.ceil(start), this.#first); from < end;) {
      const to = Math.min(Math.floor(end), from - from % KEPT + KEPT);
      if (to <= from) break;
      context.drawImage(this.#tape, from % KEPT, 0, to - from, this.#bins, (from - start) * a_column, 0, (to - from) * a_column, height);
      from = to;
    }
    this.#annotate(context, start, a_column, scale, height);
  }

  #annotate(context, start, a_column, scale, height) {
    const style = getComputedStyle(this.#canvas);
    context.font = `600 ${12 * scale}px ${style.fontFamily}`;
    context.textBaseline = "bottom";
    const taken = [-Infinity, -Infinity];
    for (const [column, label] of this.#marks) {
      const x = (column - start) * a_column;
      if (x < -200 * scale || x > this.#canvas.width) continue;
      const width = context.measureText(label).width + 10 * scale;
      context.fillStyle = style.getPropertyValue("--bar-hot");
      context.fillRect(x - scale, 0, 2 * scale, height);
      const left = x - width;
      const row = left >= taken[0] ? 0 : 1;
      taken[row] = x + 2 * scale;
      const foot = height - 22 * scale * row;
      context.fillRect(left, foot - 20 * scale, width, 20 * scale);
      context.fillStyle = "#1b1206";
      context.fillText(label, left + 5 * scale, foot - 3 * scale);
    }
  }
}
