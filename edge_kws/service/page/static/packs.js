/** A pack of an input: scores against the threshold, the threshold and what it costs, and what it missed. */

import { $, make, put, say, state } from "./dom.js";
import { post } from "./net.js";

const TASKS = { wake_word: "wake word", keywords: "keywords", sound_events: "sound events", scenes: "scene" };
const PEAK_FALL = 0.012;

export class PackView {
  #rows = [];
  #touched = false;
  #expectation = null;

  constructor(input, pack) {
    this.input = input;
    this.name = pack.name;
    const firing = pack.labels.map((label, index) => ({ label, index })).filter(({ index }) => pack.fires[index]);
    this.labels = firing.map(({ label }) => label);
    this.trust = make("span", { className: "chip", hidden: true });
    this.shed = make("span", { className: "chip", "data-state": "bad", hidden: true }, "switched off: too slow");
    const one = this.labels.length === 1;
    const missed = make("button", { className: "missed", type: "button", onclick: () => this.#ask() }, one ? `Missed “${this.labels[0]}”` : "Missed …");
    missed.setAttribute("aria-label", one ? `${this.labels[0]} was said just now in ${input} and not heard` : `A word of ${pack.name} was missed in ${input}`);
    const scores = make("div", { className: firing.length > 2 ? "scores many" : "scores", role: "group", "aria-label": `Scores of ${pack.name}` });
    for (const { label, index } of firing) scores.append(this.#row(label, index));
    this.element = make("section", { className: "pack", "aria-label": `Pack ${pack.name} on ${input}` },
      make("header", {}, make("h4", {}, pack.name), make("span", { className: "note" }, TASKS[pack.task] ?? pack.task), this.trust, this.shed, missed),
      scores, this.#threshold(pack));
  }

  #row(label, index) {
    const track = make("div", { className: "track", role: "meter", "aria-label": `Score of ${label}`, "aria-valuemin": 0, "aria-valuemax": 1 }, make("i"), make("u"), make("b"));
    const output = make("output", { "aria-hidden": "true" });
    const element = make("div", { className: "score" }, make("span", { className: "label" }, label), track, output);
    this.#rows.push({ index, track, output, element, peak: 0 });
    return element;
  }

  #threshold(pack) {
    this.summary = make("summary", {}, "Threshold ", make("output", {}), make("span", { className: "note" }));
    this.slider = make("input", { type: "range", step: 0.005, max: 1, "aria-label": `Threshold of ${pack.name} on ${this.input}` });
    this.reset = make("button", { type: "button", onclick: () => this.#set(null) });
    this.cost = make("div", { className: "cost" }, make("strong"), make("span", { className: "note" }));
    this.slider.addEventListener("input", () => { this.#touched = true; this.#show(this.slider.valueAsNumber); });
    this.slider.addEventListener("change", () => this.#set(this.slider.valueAsNumber));
    return make("details", { className: "threshold" }, this.summary,
      make("div", { className: "body" }, this.slider,
        make("div", { className: "row note" }, make("span", {}, "hears more, errs more"), make("span", {}, "errs less, misses more")),
        this.cost, make("div", { className: "row" }, this.reset)));
  }

  update(pack, about, hears) {
    this.configured = pack.configured_threshold;
    this.#expectation = about ? about.expectation : null;
    this.trust.hidden = pack.signature === "shipped";
    put(this.trust, pack.signature);
    state(this.trust, pack.signature === "signed" ? "good" : "warn");
    this.shed.hidden = !pack.shed;
    this.element.classList.toggle("shed", pack.shed || !hears);
    for (const row of this.#rows) this.#score(row, pack.scores[row.index] ?? 0, pack.threshold);
    this.reset.hidden = Math.abs(pack.threshold - pack.configured_threshold) < 1e-4;
    put(this.reset, `Back to ${pack.configured_threshold.toFixed(3)}`);
    if (this.#touched) return;
    this.slider.min = Math.min(pack.threshold, pack.configured_threshold) < 0.5 ? 0.005 : 0.5;
    if (this.shown !== pack.threshold || this.shownWith !== this.#expectation) {
      this.slider.value = pack.threshold;
      this.#show(pack.threshold);
    }
    this.shown = pack.threshold;
    this.shownWith = this.#expectation;
  }

  #score(row, score, threshold) {
    row.peak = Math.max(score, row.peak - PEAK_FALL);
    row.track.style.setProperty("--value", score);
    row.track.style.setProperty("--peak", row.peak);
    row.track.style.setProperty("--threshold", threshold);
    row.element.classList.toggle("over", score >= threshold);
    put(row.output, score.toFixed(2));
    row.track.setAttribute("aria-valuenow", score.toFixed(2));
    row.track.setAttribute("aria-valuetext", `${score.toFixed(2)}, fires at ${threshold.toFixed(2)}`);
  }

  /** What a threshold is expected to cost, and how sure that is. */
  #show(threshold) {
    const spans = this.#expectation ?? [];
    const found = spans.find((span) => span.start === span.end && Math.abs(span.start - threshold) < 0.0015)
      ?? spans.find((span) => span.start <= threshold && threshold <= span.end);
    const cost = found ? found.text : "cannot tell";
    put(this.summary.querySelector("output"), threshold.toFixed(3));
    const brief = !found || found.high === null ? "false accepts: cannot tell" : cost.replace(/ an hour.*/, " false accepts an hour");
    put(this.summary.querySelector(".note"), this.#expectation === null ? "" : ` · ${brief}`);
    put(this.cost.querySelector("strong"), `False accepts: ${cost}`);
    put(this.cost.querySelector(".note"), found
      ? "From the recordings this pack was measured on; your room may differ."
      : "This pack carries no measurement of false accepts per hour.");
    this.slider.setAttribute("aria-valuetext", `${threshold.toFixed(3)}, false accepts: ${cost}`);
  }

  async #set(threshold) {
    try {
      await post("/api/threshold", { input: this.input, pack: this.name, threshold });
      say(threshold === null ? "Threshold of the config in force again" : `Threshold ${threshold.toFixed(3)} in force`);
    } catch (error) {
      say(`Threshold not changed: ${error.message}`);
      put(this.cost.querySelector(".note"), `Not changed: ${error.message}`);
    }
    setTimeout(() => { this.#touched = false; this.shown = null; }, 500);
  }

  #ask() {
    if (this.labels.length === 1) { this.#missed(this.labels[0]); return; }
    const dialog = $("missed");
    put($("missed-note"), `The last 4 seconds of ${this.input} are what counts.`);
    $("missed-labels").replaceChildren(...this.labels.map((label) =>
      make("button", { type: "button", onclick: () => { dialog.close(); this.#missed(label); } }, label)));
    dialog.showModal();
  }

  async #missed(label) {
    try {
      const { kept } = await post("/api/missed", { input: this.input, pack: this.name, label });
      this.#tell(kept ? `Filed the last 4 seconds as “${label}”.` : `Noted that “${label}” was missed. Its audio was not kept: retention is off.`);
    } catch (error) {
      this.#tell(`Not noted: ${error.message}`);
    }
  }

  #tell(text) {
    say(text);
    this.told?.remove();
    this.told = make("p", { className: "note told" }, text);
    this.element.firstChild.after(this.told);
    setTimeout(() => this.told.remove(), 8000);
  }
}
