/** Asking the daemon, and staying connected to it. */

export class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, credentials: "same-origin", cache: "no-store" });
  } catch {
    throw new Refused(0, "The service does not answer.");
  }
  if (response.ok) return response;
  const found = await response.json().catch(() => ({}));
  throw new Refused(response.status, found.error ?? `The service answered ${response.status}.`);
}

export const get = async (path) => (await answer(path)).json();
export const getBlob = async (path) => (await answer(path)).blob();
export const post = async (path, body) =>
  (await answer(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })).json();

const SILENCE_MS = 6000;
const LONGEST_WAIT_MS = 15000;

/** One stream of server-sent events, opened again whenever it ends or falls silent. */
export class Stream {
  #handlers;
  #source = null;
  #failures = 0;
  #watch = 0;

  /** `handlers`: open(), lost(seconds until the next try) and one function for each kind of message. */
  constructor(handlers) {
    this.#handlers = handlers;
    document.addEventListener("visibilitychange", () => { if (!document.hidden && !this.#source) this.#open(); });
    this.#open();
  }

  #open() {
    clearTimeout(this.#watch);
    this.#source?.close();
    const source = this.#source = new EventSource("/api/live");
    source.onerror = () => { if (this.#source === source) this.#lost(); };
    for (const kind of ["state", "columns", "record"]) {
      source.addEventListener(kind, (message) => {
        if (this.#source !== source) return;
        if (this.#failures !== -1) { this.#failures = -1; this.#handlers.open(); }
        this.#alive();
        this.#handlers[kind](JSON.parse(message.data));
      });
    }
    this.#alive();
  }

  #alive() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lost(), SILENCE_MS);
  }

  #lost() {
    clearTimeout(this.#watch);
    this.#source?.close();
    this.#source = null;
    this.#failures = Math.max(0, this.#failures) + 1;
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** this.#failures);
    this.#handlers.lost(Math.ceil(wait / 1000));
    this.#watch = setTimeout(() => this.#open(), wait);
  }
}
