/** Health: of each input, each sink, the store and the service, and what happened before. */

import { $, bytes, make, put, span, state, STATUS, timeElement } from "./dom.js";
import { get } from "./net.js";

/** A heading with a status, and figures below it. */
class Block {
  #figures = new Map();

  constructor(title) {
    this.status = make("span", { className: "chip" }, make("span", { className: "dot" }), make("span"));
    this.list = make("dl");
    this.note = make("p", { className: "note" });
    this.element = make("section", {}, make("h3", {}, title, this.status), this.note, this.list);
  }

  show(status, note, figures) {
    const [word, colour] = STATUS[status] ?? [status, "warn"];
    put(this.status.lastChild, word);
    state(this.status, colour);
    put(this.note, note);
    this.note.hidden = !note;
    for (const [name, text, colour] of figures) {
      if (!this.#figures.has(name)) {
        const value = make("dd");
        this.#figures.set(name, value);
        this.list.append(make("div", {}, make("dt", {}, name), value));
      }
      put(this.#figures.get(name), text);
      state(this.#figures.get(name), colour ?? "");
    }
  }
}

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const some = (count) => (count ? "warn" : "");

function ofInput(input) {
  const lost = input.lost_samples / 16000;
  const since = input.seconds_since_audio;
  return [
    ["Last audio", since === null ? "never" : since < 2 ? "now" : `${span(since)} ago`, since === null || since > 5 ? "bad" : ""],
    ["Status since", span(Math.max(0, Date.now() / 1000 - input.since))],
    ["Load, of one core", percent(input.load), input.load > 0.8 ? "bad" : ""],
    ["Audio lost", lost && lost < 0.1 ? "< 0.1 s" : lost < 90 ? `${lost.toFixed(1)} s` : span(lost), some(lost)],
    ["Dropped by device", `${input.overruns} times`, some(input.overruns)],
    ["Dropped, too slow", `${input.laps} times`, some(input.laps)],
    ["Opened again", `${input.reconnects} times`, some(input.reconnects)],
    ["Events", `${input.events}`],
  ];
}

function ofSink(sink) {
  return [["Delivered", `${sink.delivered}`], ["Waiting", `${sink.queued}`], ["Dropped", `${sink.dropped}`, some(sink.dropped)]];
}

function ofStore(store) {
  return [
    ["Clips kept", store.retention || store.clips ? `${store.clips}` : "none"],
    ["Their size", `${bytes(store.clip_bytes)} of ${bytes(store.budget_bytes)}`],
    ["Waiting for disk", `${store.waiting}`, store.waiting > 20 ? "warn" : ""],
    ["Lost", `${store.lost}`, some(store.lost)],
  ];
}

export class HealthView {
  #blocks = new Map();
  #shown = 0;

  constructor() {
    $("history").addEventListener("toggle", () => this.history());
  }

  /** At most once a second: nobody reads faster. */
  update(snapshot) {
    if (performance.now() - this.#shown < 1000) return;
    this.#shown = performance.now();
    const seen = new Set();
    const block = (key, title, ...rest) => {
      seen.add(key);
      if (!this.#blocks.has(key)) {
        this.#blocks.set(key, new Block(title));
        $("health").append(this.#blocks.get(key).element);
      }
      this.#blocks.get(key).show(...rest);
    };
    for (const input of snapshot.inputs) block(`input ${input.name}`, input.name, input.status, input.detail, ofInput(input));
    for (const sink of snapshot.sinks) block(`sink ${sink.name}`, sink.name, sink.status, sink.detail, ofSink(sink));
    block("store", "Store", snapshot.store.status, snapshot.store.detail, ofStore(snapshot.store));
    for (const [key, old] of this.#blocks) if (!seen.has(key)) { old.element.remove(); this.#blocks.delete(key); }
    const deaf = snapshot.inputs.filter((input) => input.status !== "listening").length;
    const failing = snapshot.sinks.filter((sink) => sink.status === "failing").length + (snapshot.store.status !== "ok");
    put($("health-sum"), deaf ? `${deaf} of ${snapshot.inputs.length} inputs not heard` : failing ? "hears; not everything works" : "all inputs are heard");
    put($("about"), `edge_kws ${snapshot.version} · up ${span(snapshot.uptime_s)} · ${bytes(snapshot.rss_bytes)} memory · ${snapshot.config_path}`);
  }

  async history() {
    if (!$("history").open) return;
    const changes = await get("/api/changes").catch(() => []);
    $("changes").replaceChildren(...changes.map((change) => {
      const what = change.type === "status" ? `${change.input}: ${(STATUS[change.status] ?? [change.status])[0].toLowerCase()}` : change.subject;
      const when = Date.now() / 1000 - change.time > 86400 ? new Date(change.time * 1000).toLocaleString() : undefined;
      return make("li", {}, timeElement(change.time, when), change.detail ? `${what}: ${change.detail}` : what);
    }));
  }
}
