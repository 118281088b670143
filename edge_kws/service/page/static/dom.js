/** Elements, words and times. Text goes in as text, never as HTML. */

export const $ = (id) => document.getElementById(id);

/** An element with properties (or, with a dash or `role`, attributes) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** An icon of 16 by 16 from one path. */
export function glyph(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "glyph");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

export const PLAY = "M4 2.500v11l9.500-5.500z";
export const STOP = "M3.500 3.500h9v9h-9z";
export const LOCK = "M5 7V5a3 3 0 0 1 6 0v2h1v7H4V7zm1.500 0h3V5a1.500 1.500 0 0 0-3 0z";
export const DISK = "M2.500 2.500h9l2 2v9h-11zm2.500 1v3h5v-3zm3 5a2 2 0 1 0 0 4 2 2 0 0 0 0-4z";

/** Changes text only when it differs, so that assistive technology is not told twice. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function state(element, name) {
  if (element.dataset.state !== name) element.dataset.state = name;
}

/** Tells a screen reader, politely; also what a button did. */
export function say(text) {
  const place = $("say");
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export const clock = (seconds) => CLOCK.format(seconds * 1000);
export const day = (seconds) => DAY.format(seconds * 1000);

export function timeElement(seconds, text = clock(seconds)) {
  return make("time", { dateTime: new Date(seconds * 1000).toISOString(), title: new Date(seconds * 1000).toLocaleString() }, text);
}

/** "4 s", "12 min", "3 h", "5 days". */
export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function bytes(count) {
  return count < 1e6 ? `${(count / 1e3).toFixed(0)} kB` : `${(count / 1e6).toFixed(count < 1e8 ? 1 : 0)} MB`;
}

export const STATUS = {
  starting: ["Starting", "wait"], listening: ["Listening", "good"], silent: ["Silent", "bad"],
  away: ["Away", "bad"], ended: ["Ended", "warn"], stopped: ["Stopped", "warn"],
  ok: ["Works", "good"], connecting: ["Connecting", "wait"], failing: ["Failing", "bad"],
};
