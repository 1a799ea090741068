/** The gateway's API, with the waiting and the naming of failures that a page needs. */

/** The server answered, and refused: `reason` is stable, `detail` is for people. */
export class Problem extends Error {
  constructor(status, body = {}) {
    super(body.detail ?? body.message ?? body.title ?? `The server answered ${status}`);
    this.status = status;
    this.reason = body.reason ?? "other";
  }
}

/** Nothing answered, or the model behind the gateway is away: worth trying again later. */
export class Away extends Error {
  constructor(kind, { seconds = 0, late = false } = {}) {
    super(kind);
    this.kind = kind;
    this.seconds = seconds;
    this.late = late;
  }
}

export const LIMITS = JSON.parse(document.querySelector("meta[name=dermserve-limits]").content);
const BUSY_TRIES = 10;
const TIMEOUT = 120_000; // the gateway itself gives up sooner, and says why
const PROBE_TIMEOUT = 30_000;
let askForKey = async () => null;
let asking = null;
let key = null;

/** `ask(refused)` resolves to a key or null; `refused` says that one was given and not accepted. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

const pause = (seconds) => new Promise((wake) => setTimeout(wake, 1000 * seconds));
const retryAfter = (response) => Math.min(30, Number.parseFloat(response.headers.get("Retry-After")) || 1);

async function call(path, { timeout = TIMEOUT, ...options }) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "same-origin", signal: AbortSignal.timeout(timeout) });
  } catch (error) {
    throw new Away("offline", { late: error.name === "TimeoutError" });
  }
  if (response.ok) return response.json().catch(() => Promise.reject(new Away("offline"))); // the login page of a network
  const body = await response.json().catch(() => ({}));
  const fromProxy = [502, 504].includes(response.status) && !body.reason;
  if (response.status === 503 || fromProxy) throw new Away("unavailable", { seconds: retryAfter(response) });
  throw Object.assign(new Problem(response.status, body), { seconds: retryAfter(response) });
}

/** Asks once, however many requests wait for the answer. */
async function newKey(refusal) {
  asking ??= askForKey(key !== null).finally(() => {
    asking = null;
  });
  const given = await asking;
  if (!given) throw refusal;
  key = given;
}

async function ask(path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const used = key;
    try {
      return await call(path, options);
    } catch (error) {
      if (error.status === 429 && attempt < BUSY_TRIES) await pause(error.seconds * (0.75 + Math.random() / 2));
      else if (error.status !== 401) throw error;
      else if (key === used) await newKey(error);
    }
  }
}

/** Refuses here what the server would cut off in the middle of the upload. */
function form(files) {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const most = files.length === 1 ? LIMITS.image : LIMITS.request - 4096;
  if (total > most) throw new Problem(413, { reason: "too_large", detail: `At most ${Math.floor(most / 2 ** 20)} MiB can be sent at once.` });
  if (files.length > LIMITS.files) throw new Problem(413, { reason: "too_many_files", detail: `At most ${LIMITS.files} images can be sent at once.` });

  const body = new FormData();
  for (const file of files) body.append("file", file, file.name);
  return { method: "POST", body };
}

/** To `fetch`, a file that was moved, changed or on a card since taken out looks like a lost connection. */
async function checkReadable(files) {
  for (const file of files) {
    await file.arrayBuffer().catch(() => {
      throw new Problem(400, { reason: "unreadable_file", detail: `The browser can no longer read ${file.name}.` });
    });
  }
}

/** A server that answers other requests was not lost: the upload took too long, or something on the way cut it off. */
async function send(path, files) {
  try {
    return await ask(path, form(files));
  } catch (error) {
    if (error.kind !== "offline") throw error;
    await checkReadable(files);
    await ready();
    if (error.late) throw new Problem(408, { reason: "slow_client", detail: `No answer came within ${TIMEOUT / 1000} seconds of sending.` });
    throw new Problem(0, { reason: "cut_off", detail: "The connection was closed before an answer came, while the server answers other requests." });
  }
}

export const predict = (file) => send("v1/predict", [file]);
export const explain = (file) => send("v1/explain", [file]);
export const compare = (files) => send("v1/compare", files);
export const model = () => ask("v1/model");

/** Resolves if the server can analyse images now. A proxy may hide the address, so only its "not ready" counts. */
export async function ready() {
  try {
    await ask("readyz", { cache: "no-store", timeout: PROBE_TIMEOUT });
  } catch (error) {
    if (error instanceof Away) throw error;
  }
}
