/** The feed: what was heard, its audio, and what people say of it. */

import { $, clock, day, glyph, make, PLAY, put, say, STOP, timeElement } from "./dom.js";
import { get, getBlob, post } from "./net.js";

const IN_MEMORY_S = 60;
const SHOWN = 400;
const MORE = 25;
const roomy = matchMedia("(min-width: 900px)");

/** One clip at a time. */
const player = {
  audio: new Audio(),
  item: null,
  stop() {
    this.audio.pause();
    if (this.audio.src) URL.revokeObjectURL(this.audio.src);
    this.audio.removeAttribute("src");
    this.item?.ended();
    this.item = null;
  },
  async start(item, blob) {
    this.stop();
    this.item = item;
    this.audio.src = URL.createObjectURL(blob);
    await this.audio.play();
  },
};
player.audio.addEventListener("ended", () => player.stop());
player.audio.addEventListener("timeupdate", () => player.item?.progress(player.audio.currentTime / (player.audio.duration || 1)));

class Item {
  constructor(event, fresh) {
    this.event = event;
    const said = `${event.label} at ${clock(event.time)}`;
    this.play = make("button", { type: "button", onclick: () => this.#toggle() });
    this.gone = make("span", { className: "note gone" }, "audio not kept");
    this.false = make("button", { type: "button", className: "false", onclick: () => this.#judge("false_wake") }, "False wake");
    this.right = make("button", { type: "button", onclick: () => this.#judge("correct") }, "Correct");
    this.false.setAttribute("aria-label", `False wake: ${said}`);
    this.right.setAttribute("aria-label", `Correct: ${said}`);
    this.bar = make("div", { className: "progress", hidden: true });
    this.element = make("li", { className: fresh ? "new" : "" },
      make("strong", {}, event.label), timeElement(event.time),
      make("p", { className: "where note" }, `${event.pack} on ${event.input} · score `, make("span", { className: "number" }, `${event.score.toFixed(2)}`), `, needs ${event.threshold.toFixed(2)}`),
      this.bar, make("div", { className: "acts" }, this.play, this.gone, this.false, this.right));
    this.ended();
    this.show();
  }

  /** The state of buttons now: without a kept clip, audio goes after a minute. */
  show() {
    const { verdict, has_clip: kept, time } = this.event;
    this.false.setAttribute("aria-pressed", verdict === "false_wake");
    this.right.setAttribute("aria-pressed", verdict === "correct");
    this.play.hidden = this.lost || !(kept || Date.now() / 1000 - time < IN_MEMORY_S);
    this.gone.hidden = !this.play.hidden;
  }

  ended() {
    this.play.replaceChildren(glyph(PLAY), "Play");
    this.play.setAttribute("aria-label", `Play ${this.event.label} at ${clock(this.event.time)}`);
    this.bar.hidden = true;
  }

  progress(share) {
    this.bar.hidden = false;
    this.bar.style.setProperty("--value", share);
  }

  async #toggle() {
    if (player.item === this) { player.stop(); return; }
    this.play.disabled = true;
    try {
      const blob = await getBlob(`/api/clips/${this.event.id}`);
      await player.start(this, blob);
      this.play.replaceChildren(glyph(STOP), "Stop");
      this.play.setAttribute("aria-label", `Stop ${this.event.label}`);
    } catch (error) {
      if (error.status === 404) { this.lost = true; this.show(); }
      say(error.message);
    }
    this.play.disabled = false;
  }

  async #judge(verdict) {
    const wanted = this.event.verdict === verdict ? null : verdict;
    try {
      const now = await post(`/api/events/${this.event.id}/verdict`, { verdict: wanted });
      Object.assign(this.event, { verdict: now.verdict, has_clip: now.has_clip });
      const filed = now.has_clip ? wanted === "false_wake" ? "; its clip is filed as a hard negative" : "; its clip is filed as an example" : "";
      say(wanted === null ? "Taken back" : (wanted === "false_wake" ? "Marked as a false wake" : "Marked as correct") + filed);
    } catch (error) {
      say(`Not marked: ${error.message}`);
    }
    this.show();
  }
}

export class Feed {
  #items = new Map();
  #retention = false;
  #limit = roomy.matches ? MORE : 5;
  #end = false;

  constructor() {
    $("older").addEventListener("click", () => this.#older());
    setInterval(() => { for (const item of this.#items.values()) item.show(); }, 5000);
  }

  /** Everything the store has that is not on show yet; after a lost connection too. */
  async load() {
    const found = await get("/api/events");
    for (const event of found) this.#take(event, false);
    this.#end ||= found.length < 100;
    this.#arrange();
  }

  set retention(kept) { this.#retention = kept; }

  heard(event) {
    this.#take({ ...event, verdict: null, has_clip: this.#retention }, true);
    this.#arrange();
    say(`Heard ${event.label} on ${event.input}`);
  }

  #take(event, fresh) {
    const known = this.#items.get(event.id);
    if (known) { Object.assign(known.event, event); known.show(); } else this.#items.set(event.id, new Item(event, fresh));
  }

  async #older() {
    this.#limit = Math.min(SHOWN, this.#limit + MORE);
    if (this.#limit > this.#items.size && !this.#end) {
      const oldest = Math.min(...this.#items.keys());
      const found = await get(`/api/events?before=${oldest}`).catch((error) => { say(error.message); return []; });
      for (const event of found) this.#take(event, false);
      this.#end = found.length < 100;
    }
    this.#arrange();
  }

  /** Newest first, a heading a day; only what is new is touched, so that focus and playback stay where they are. */
  #arrange() {
    const list = $("events");
    const sorted = [...this.#items.values()].sort((a, b) => b.event.id - a.event.id);
    for (const item of sorted.splice(SHOWN)) { item.element.remove(); this.#items.delete(item.event.id); }
    const shown = sorted.splice(0, this.#limit);
    for (const item of sorted) item.element.remove();
    $("older").hidden = this.#limit >= SHOWN || (sorted.length === 0 && this.#end);
    for (const heading of list.querySelectorAll(".day")) heading.remove();
    const today = day(Date.now() / 1000);
    let place = list.firstChild;
    let last = today;
    for (const item of shown) {
      const date = day(item.event.time);
      if (date !== last) list.insertBefore(make("li", { className: "day" }, date), place);
      last = date;
      if (item.element === place) place = place.nextSibling;
      else list.insertBefore(item.element, place);
    }
    $("feed-empty").hidden = this.#items.size > 0;
    put($("feed-count"), this.#items.size === 1 ? "1 event" : this.#items.size ? `${this.#items.size} events` : "");
  }
}
