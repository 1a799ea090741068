/** Sends queued lesions, a few at a time; waits out a lost connection or an absent model, then goes on by itself. */

import { Away, model, predict, ready } from "./api.js";

const AT_ONCE = 3;
const BULKY = 4 * 2 ** 20; // sent one at a time: on a slow uplink, several together would all be late
const CUTS = 3;
const CUT_PAUSE = 1000;
const PROBE_SECONDS = [1, 2, 4, 8, 15];

export class Queue extends EventTarget {
  #album;
  #sending = 0;
  #timer = null;
  #probes = 0;
  #known = false;
  away = null; // null, "offline", "unavailable" or "locked"

  constructor(album) {
    super();
    this.#album = album;
    addEventListener("online", () => this.probe());
    addEventListener("offline", () => this.probe());
    document.addEventListener("visibilitychange", () => document.hidden || !this.away || this.probe());
  }

  /** Start whatever can start now. */
  work() {
    if (this.away === "locked") this.#setAway(null);
    if (this.away) return;
    while (this.#sending < AT_ONCE) {
      const lesion = this.#next();
      if (!lesion) return;
      this.#send(lesion);
    }
  }

  /** The first that waits; what was cut off before comes after all others. */
  #next() {
    const bulky = ({ file }) => file.size > BULKY;
    const busy = this.#album.lesions.some((lesion) => lesion.state === "sending" && bulky(lesion));
    const waiting = this.#album.lesions.filter((lesion) => lesion.state === "queued" && !(busy && bulky(lesion)));
    return waiting.toSorted((a, b) => a.cuts - b.cuts)[0];
  }

  /** Is the server there? Sets `away`, resumes work if it is and asks again later if not. */
  async probe() {
    clearTimeout(this.#timer);
    try {
      await ready();
      const detail = await model();
      this.#probes = 0;
      this.#known = true;
      this.#setAway(null);
      this.dispatchEvent(new CustomEvent("model", { detail }));
      this.work();
    } catch (error) {
      if (error.status === 401) this.#setAway("locked");
      else this.#leave(error instanceof Away ? error : new Away(error.status >= 500 ? "unavailable" : "offline"));
    }
  }

  async #send(lesion) {
    this.#sending += 1;
    this.#album.update(lesion, { state: "sending" });
    try {
      const answer = await predict(lesion.file);
      if (!this.#album.get(lesion.id)) return; // removed in the meantime
      this.#album.update(lesion, { state: "done", answer, problem: null });
      this.dispatchEvent(new CustomEvent("settled", { detail: lesion }));
      if (!this.#known) this.probe();
    } catch (error) {
      if (error instanceof Away) {
        this.#album.update(lesion, { state: "queued" });
        this.#leave(error);
      } else if (error.reason === "cut_off" && lesion.cuts + 1 < CUTS) {
        await new Promise((wake) => setTimeout(wake, CUT_PAUSE));
        this.#album.update(lesion, { state: "queued", cuts: lesion.cuts + 1 });
      } else if (this.#album.get(lesion.id)) {
        this.#album.update(lesion, { state: "failed", problem: error });
        this.dispatchEvent(new CustomEvent("settled", { detail: lesion }));
      }
    } finally {
      this.#sending -= 1;
      this.work();
    }
  }

  #leave(error) {
    this.#setAway(error.kind);
    const wait = PROBE_SECONDS[Math.min(this.#probes, PROBE_SECONDS.length - 1)];
    this.#probes += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.probe(), 1000 * Math.max(wait, error.seconds));
  }

  #setAway(kind) {
    if (this.away === kind) return;
    this.away = kind;
    this.dispatchEvent(new Event("away"));
  }
}
