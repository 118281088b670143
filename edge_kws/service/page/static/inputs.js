/** A card an input: how it is, what it hears, and its packs. */

import { make, put, say, state, STATUS } from "./dom.js";
import { PackView } from "./packs.js";
import { Spectrogram } from "./spectrogram.js";

const QUIETEST_DB = -80;

class InputView {
  #packs = new Map();
  #peak = QUIETEST_DB;

  constructor(name) {
    this.status = make("p", { className: "chip" }, make("span", { className: "dot" }), make("span", { className: "text" }));
    this.source = make("p", { className: "source note" });
    this.detail = make("p", { className: "detail", hidden: true });
    this.track = make("div", { className: "track", role: "meter", "aria-label": `Level of ${name}`, "aria-valuemin": QUIETEST_DB, "aria-valuemax": 0 }, make("i"));
    this.level = make("output", { "aria-hidden": "true" });
    this.canvas = make("canvas", { role: "img", "aria-label": `Spectrogram of ${name}: the last seconds, newest at the right` });
    this.caption = make("figcaption");
    this.deaf = make("p", { className: "deaf", hidden: true });
    this.places = make("div");
    const title = make("h3", { id: `input-${name}` }, name);
    this.element = make("article", { "aria-labelledby": title.id },
      make("header", {}, title, this.status, this.source, this.detail),
      make("figure", {}, this.canvas, this.caption, this.deaf),
      make("div", { className: "level" }, make("span", { "aria-hidden": "true" }, "Level"), this.track, this.level),
      this.places);
    this.name = name;
    this.spectrogram = new Spectrogram(this.canvas);
  }

  update(input, about) {
    const [word, colour] = STATUS[input.status] ?? [input.status, "warn"];
    put(this.status.lastChild, word);
    state(this.status, colour);
    put(this.source, input.source);
    put(this.detail, input.detail);
    this.detail.hidden = !input.detail;
    const hears = input.status === "listening";
    this.deaf.hidden = hears || input.status === "starting";
    put(this.deaf, this.deaf.hidden ? "" : input.status === "silent" ? "Only digital silence: muted?" : "Not heard now");
    put(this.caption, `last ${this.spectrogram.seconds} s`);
    this.#level(hears ? input.level_dbfs : null);
    for (const pack of input.packs) {
      if (!this.#packs.has(pack.name)) {
        this.#packs.set(pack.name, new PackView(this.name, pack));
        this.places.append(this.#packs.get(pack.name).element);
      }
      this.#packs.get(pack.name).update(pack, about?.[`${this.name}/${pack.name}`], hears);
    }
    for (const [name, view] of this.#packs) {
      if (!input.packs.some((pack) => pack.name === name)) { view.element.remove(); this.#packs.delete(name); }
    }
  }

  #level(level) {
    const shown = level === null ? QUIETEST_DB : Math.max(QUIETEST_DB, level);
    this.#peak = Math.max(shown, this.#peak - 4);
    this.track.firstChild.style.setProperty("--value", 1 - this.#peak / QUIETEST_DB);
    put(this.level, level === null ? "none" : `${Math.round(shown)} dB`.replace("-", "−"));
    this.track.setAttribute("aria-valuenow", Math.round(shown));
    this.track.setAttribute("aria-valuetext", level === null ? "no sound" : `${Math.round(shown)} decibels below full scale`.replace("-", ""));
  }
}

export class Inputs {
  #views = new Map();
  #place;

  constructor(place) { this.#place = place; }

  /** Whether every pack on show is described in `about`. */
  update(inputs, about) {
    for (const input of inputs) {
      if (!this.#views.has(input.name)) {
        this.#views.set(input.name, new InputView(input.name));
        this.#place.append(this.#views.get(input.name).element);
      }
      const view = this.#views.get(input.name);
      if (view.last && view.last !== input.status) say(`${input.name}: ${STATUS[input.status]?.[0] ?? input.status}. ${input.detail}`);
      view.last = input.status;
      view.update(input, about);
    }
    for (const [name, view] of this.#views) {
      if (!inputs.some((input) => input.name === name)) { view.element.remove(); this.#views.delete(name); }
    }
  }

  columns({ input, first, bins, data }) {
    this.#views.get(input)?.spectrogram.push(first, bins, Uint8Array.from(atob(data), (c) => c.charCodeAt(0)));
  }

  heard(event) { this.#views.get(event.input)?.spectrogram.mark(event.label); }

  pause(paused) { for (const view of this.#views.values()) view.spectrogram.paused = paused; }
}
