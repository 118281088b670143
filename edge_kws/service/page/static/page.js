/** The page, composed: one stream in, views that show it. */

import { $, bytes, DISK, LOCK, make, put, say, state } from "./dom.js";
import { Feed } from "./events.js";
import { HealthView } from "./health.js";
import { Inputs } from "./inputs.js";
import { get, post, Stream } from "./net.js";

const inputs = new Inputs($("inputs"));
const health = new HealthView();
const feed = new Feed();
let about = null;
let asking = false;
let stream = null;

/** What does not change from second to second; asked again when a pack appears that it does not describe. */
async function askAbout() {
  if (asking) return;
  asking = true;
  about = await get("/api/about").catch(() => about);
  setTimeout(() => { asking = false; }, 3000);
}

function connection(name, text) {
  state($("connection"), name);
  put($("connection").lastChild, text);
}

/** Whether audio leaves memory: always in sight. */
function retention(store) {
  const chip = $("retention");
  const text = store.retention ? `Keeps clips: ${bytes(store.clip_bytes)}` : store.clips ? `Audio in memory; ${store.clips} old clips` : "Audio stays in memory";
  if (chip.hidden || chip.lastChild.textContent !== text) {
    chip.hidden = false;
    chip.querySelector("path").setAttribute("d", store.retention ? DISK : LOCK);
    put(chip.lastChild, text);
    state(chip, store.retention ? "warn" : "good");
    chip.title = store.retention
      ? `${store.clips} clips of events are on disk; at most ${bytes(store.budget_bytes)}. Set clips = false under [retention] to keep none.`
      : "Audio is held in memory for about a minute and never written. Set clips = true under [retention] to keep the audio of events.";
  }
}

/** What somebody must see at once. */
function alarms(snapshot) {
  const lines = [];
  if (snapshot.config_error) lines.push(["warn", `The config was not taken, the old one stays in force: ${snapshot.config_error}`]);
  if (snapshot.store.status !== "ok") lines.push(["bad", `Events are not being kept: ${snapshot.store.detail}`]);
  for (const input of snapshot.inputs) {
    if (!["listening", "starting"].includes(input.status)) lines.push(["bad", `${input.name} is not heard. ${input.detail}`]);
  }
  const place = $("alarm");
  if (place.textContent === lines.map(([, text]) => text).join("")) return;
  place.replaceChildren(...lines.map(([name, text]) => make("p", { "data-state": name }, text)));
}

function onState(snapshot) {
  feed.retention = snapshot.store.retention;
  if (snapshot.inputs.some((input) => input.packs.some((pack) => !about?.packs[`${input.name}/${pack.name}`]))) askAbout();
  inputs.update(snapshot.inputs, about?.packs);
  health.update(snapshot);
  retention(snapshot.store);
  alarms(snapshot);
}

function onRecord(record) {
  if (record.type === "event") { inputs.heard(record); feed.heard(record); }
  if (record.type === "status" || record.type === "notice") health.history();
}

function open() {
  $("main").hidden = $("pause").hidden = false;
  stream = new Stream({
    open: () => {
      connection("good", "Live");
      $("main").classList.remove("stale");
      feed.load().catch((error) => say(error.message));
      askAbout();
    },
    lost: (seconds) => {
      connection("bad", "No connection");
      $("main").classList.add("stale");
      put($("alarm"), "");
      $("alarm").append(make("p", {}, `No connection to the service: what you see is old. Trying again in ${seconds} s.`));
      get("/api/about").catch((error) => { if (error.status === 401) location.reload(); });
    },
    state: onState,
    columns: (message) => inputs.columns(message),
    record: onRecord,
  });
}

/** Where a token is asked for: from the address's fragment (which never leaves the browser), or from a form. */
async function login() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", "/");
    await post("/api/login", { token: given }).catch((error) => put($("login-error"), error.message));
  }
  try {
    about = await get("/api/about");
    open();
  } catch (error) {
    if (error.status !== 401) { open(); return; }
    connection("wait", "Locked");
    $("login").hidden = false;
    $("token").focus();
  }
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await post("/api/login", { token: $("token").value.trim() });
    $("token").value = "";
    $("login").hidden = true;
    open();
  } catch (error) {
    put($("login-error"), error.message);
  }
});

$("pause").addEventListener("click", () => {
  const paused = $("pause").getAttribute("aria-pressed") !== "true";
  $("pause").setAttribute("aria-pressed", paused);
  inputs.pause(paused);
});

$("with-audio").addEventListener("change", () => {
  $("support").href = $("with-audio").checked ? "/api/support?audio=1" : "/api/support";
});

login();
