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
  constructor(kind, seconds = 0) {
    super(kind);
    this.kind = kind;
    this.seconds = seconds;
  }
}

const BUSY_TRIES = 10;
const TIMEOUT = 60_000;
let askForKey = async () => null;
let key = null;

export function onKeyNeeded(ask) {
  askForKey = ask;
}

const pause = (seconds) => new Promise((wake) => setTimeout(wake, 1000 * seconds));
const retryAfter = (response) => Math.min(30, Number.parseFloat(response.headers.get("Retry-After")) || 1);

async function call(path, options) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT) });
  } catch {
    throw new Away("offline");
  }
  if (response.ok) return response.json();
  if (response.status === 503 || response.status === 502 || response.status === 504) throw new Away("unavailable", retryAfter(response));
  const body = await response.json().catch(() => ({}));
  throw Object.assign(new Problem(response.status, body), { seconds: retryAfter(response) });
}

async function ask(path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call(path, options);
    } catch (error) {
      if (error.status === 429 && attempt < BUSY_TRIES) await pause(error.seconds * (0.75 + Math.random() / 2));
      else if (error.status === 401 && attempt < BUSY_TRIES) {
        key = await askForKey();
        if (!key) throw error;
      } else throw error;
    }
  }
}

function form(files) {
  const body = new FormData();
  for (const file of files) body.append("file", file, file.name);
  return { method: "POST", body };
}

export const predict = (file) => ask("v1/predict", form([file]));
export const explain = (file) => ask("v1/explain", form([file]));
export const compare = (files) => ask("v1/compare", form(files));
export const model = () => ask("v1/model");

/** Resolves if the server can analyse images now. A proxy may hide the address, so only its "not ready" counts. */
export async function ready() {
  try {
    await ask("readyz", { cache: "no-store" });
  } catch (error) {
    if (error instanceof Away) throw error;
  }
}
