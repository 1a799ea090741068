/** Several lesions of one patient: ranked by score, with the one that is least like the others marked. */

import { compare, LIMITS } from "./api.js";
import { announce, h, thumbnail } from "./dom.js";
import { minibar } from "./gauge.js";
import { chance, REFUSALS, VERDICTS } from "./words.js";

/** Refusals of too many or too large images together: asking again cannot help, removing some does. */
const TOO_MUCH = ["too_many_files", "too_large"];

const back = () => h("nav", { class: "crumbs", "aria-label": "Images" }, h("a", { class: "button quiet", href: "#/" }, "← All images"), h("h1", { tabIndex: -1 }, "Same patient"));

function verdict({ answer, problem }) {
  const label = problem ? "failed" : answer.label;
  return h("span", { class: "chip", data: { label } }, problem ? (REFUSALS[problem.reason] ?? REFUSALS.other)[0] : VERDICTS[label].short);
}

/** Both parts of what decides on the ugly duckling, each from 0 to 1: the bar ends where neither could be more. */
function difference(distance, scoreDifference) {
  const [appearance, score] = [distance, scoreDifference].map((part) => part.toFixed(2));
  const fill = (part, size) => h("span", { class: part, style: { width: `${50 * size}%` } });
  return h(
    "div",
    { class: "difference" },
    h("span", {}, "Differs from the others"),
    h("span", { class: "meter parts" }, fill("appearance", distance), fill("by-score", scoreDifference)),
    h("span", { class: "figure" }, (Number(appearance) + Number(score)).toFixed(2)),
    h("span", { class: "figure" }, `${appearance} in appearance, ${score} in score`),
  );
}

function entry({ lesion, answer, problem, rank, distance, scoreDifference, odd, same }) {
  const scored = answer && answer.probability !== null;
  return h(
    "li",
    { class: odd ? "ranked odd" : "ranked" },
    h("span", { class: "rank" }, rank ?? "–"),
    thumbnail(lesion.url, 96),
    h(
      "div",
      { class: "ranked-words" },
      h("h2", {}, h("a", { href: `#/image/${lesion.id}` }, lesion.name), odd ? h("span", { class: "chip", data: { label: "odd" } }, "Ugly duckling") : null, same ? h("span", { class: "chip" }, `Same file as ${same.name}`) : null),
      h("p", { class: "ranked-score" }, verdict({ answer, problem }), scored ? [h("span", { class: "figure" }, chance(answer)), minibar(answer)] : null),
      Number.isFinite(distance) ? difference(distance, scoreDifference) : null,
    ),
  );
}

/** Joins the gateway's answer, most suspicious first, to the lesions that were sent. */
const joined = (lesions, rows) =>
  rows.map((row) => ({
    lesion: lesions[row.index],
    answer: row.error ? null : row,
    problem: row.error ?? null,
    rank: row.rank,
    distance: row.distance,
    scoreDifference: row.score_difference,
    odd: row.ugly_duckling,
    same: lesions[row.same_as] ?? null,
  }));

function explanation(entries, reason) {
  const odd = entries.find((candidate) => candidate.odd);
  if (!odd) return `${reason} That alone does not clear any of them.`;
  return `${odd.lesion.name} differs most from this patient’s other lesions, in appearance and score together. Clinicians call the lesion that looks unlike the others the ugly duckling, and look at it again.`;
}

export class CompareView {
  #host;
  #album;
  #asked = null;

  constructor(host, album) {
    this.#host = host;
    this.#album = album;
  }

  /** Asks once for each set of images. */
  async draw() {
    const lesions = this.#album.lesions.filter(({ state }) => state === "done");
    const asked = lesions.map(({ id }) => id).join();
    if (asked === this.#asked) return;
    this.#asked = asked;
    if (lesions.length < 2) {
      this.#put(h("p", {}, "Add two or more images of one patient, and wait until they are analysed."));
      return;
    }
    if (lesions.length > LIMITS.files) {
      this.#refuse(`Comparing takes at most ${LIMITS.files} images; remove ${lesions.length - LIMITS.files}.`);
      return;
    }
    this.#put(h("p", { role: "status" }, "Comparing …"));
    try {
      const answer = await compare(lesions.map(({ file }) => file));
      if (asked === this.#asked) this.#show(joined(lesions, answer.lesions), answer.reason);
    } catch (error) {
      if (asked === this.#asked) this.#fail(error);
    }
  }

  clear() {
    this.#asked = null;
    this.#host.replaceChildren();
  }

  #show(entries, reason) {
    const words = explanation(entries, reason);
    this.#put(
      h("p", { class: "lede" }, words),
      h("ol", { class: "ranking" }, entries.map(entry)),
      h("p", { class: "hint" }, "Ranked by calibrated probability. “Differs” adds up how far what the model sees in this image is from what it sees in the others, and how far the score is from theirs: 0 is alike, and 2, where the bar ends, the most there can be. The ugly duckling is a lesion that differs more than 1.25 times as much as the next."),
    );
    announce(words);
  }

  #fail(error) {
    if (TOO_MUCH.includes(error.reason)) {
      this.#refuse(`These images could not be compared. ${error.message} Remove some.`);
      return;
    }
    this.#asked = null;
    const again = h("button", { class: "button primary", type: "button", on: { click: () => this.draw() } }, "Try again");
    const words = error.kind ? "The server does not answer just now." : error.message;
    this.#put(h("p", { class: "trouble", role: "alert" }, `These images could not be compared. ${words}`), h("p", { class: "actions" }, again));
  }

  /** Whoever is in this view goes on at its heading. */
  #put(...nodes) {
    const focused = this.#host.contains(document.activeElement);
    this.#host.replaceChildren(back(), ...nodes);
    if (focused) this.#host.querySelector("h1").focus({ preventScroll: true });
  }

  #refuse(words) {
    const list = h("a", { class: "button primary", href: "#/" }, "Back to the images");
    this.#put(h("p", { class: "trouble", role: "alert" }, words), h("p", { class: "actions" }, list));
  }
}
