/** All images of this tab: a table that sorts, with progress and what can be done with the lot. */

import { PENDING } from "./album.js";
import { h, thumbnail } from "./dom.js";
import { downloadCsv, downloadJson } from "./export.js";
import { minibar } from "./gauge.js";
import { chance, REFUSALS, UNREADABLE, VERDICTS } from "./words.js";

const SETTLED = ["done", "failed"];
const SEVERITY = { malignant: 0, abstain: 1, benign: 2 };
const score = (lesion) => lesion.answer?.probability ?? -1;
const rank = (lesion) => (lesion.state === "done" ? SEVERITY[lesion.answer.label] : 3);
const ORDERS = {
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  outcome: (a, b) => rank(a) - rank(b) || score(b) - score(a),
  probability: (a, b) => score(a) - score(b),
};
const COLUMNS = [
  ["name", "Image"],
  ["outcome", "Result"],
  ["probability", "Probability"],
];

function outcome(lesion, away) {
  if (lesion.state === "failed") return ["failed", (REFUSALS[lesion.problem.reason] ?? REFUSALS.other)[0]];
  if (lesion.state === "done") return [lesion.answer.label, VERDICTS[lesion.answer.label].short];
  if (lesion.state === "sending") return ["pending", "Analysing …"];
  return ["pending", away ? "Waiting" : "Queued"];
}

function cells(lesion, away, remove) {
  const [label, words] = outcome(lesion, away);
  const answer = lesion.answer;
  const scored = answer && answer.probability !== null;
  return [
    h("td", { class: "thumb", role: "cell" }, thumbnail(lesion.url, 56)),
    h("th", { scope: "row", role: "rowheader" }, h("a", { href: `#/image/${lesion.id}` }, lesion.name)),
    h("td", { class: "outcome", role: "cell" }, h("span", { class: "chip", data: { label } }, words)),
    h("td", { class: "probability", role: "cell" }, scored ? [h("span", { class: "figure" }, chance(answer)), minibar(answer)] : h("span", { class: "hint" }, "–")),
    h("td", { class: "remove", role: "cell" }, h("button", { class: "icon", type: "button", "aria-label": `Remove ${lesion.name}`, on: { click: () => remove(lesion) } }, "×")),
  ];
}

function progress(lesions) {
  const count = (test) => lesions.filter(test).length;
  const label = (name) => count((lesion) => lesion.answer?.label === name);
  const failed = (unreadable) => count(({ problem }) => problem && UNREADABLE.includes(problem.reason) === unreadable);
  const settled = count(({ state }) => SETTLED.includes(state));
  const parts = [
    settled < lesions.length ? `${settled} of ${lesions.length} analysed` : lesions.length === 1 ? "1 image" : `${lesions.length} images`,
    [label("malignant"), "above the threshold"],
    [label("benign"), "below"],
    [label("abstain"), "without an answer"],
    [failed(true), "not readable"],
    [failed(false), "not analysed"],
  ];
  return parts.filter((part) => typeof part === "string" || part[0]).map((part) => (typeof part === "string" ? part : part.join(" "))).join(" · ");
}

/** A table bound to one host element; `draw` brings it up to date and keeps focus and rows where they were. */
export class LesionTable {
  #rows = new Map();
  #order = { key: null, descending: false };
  #summary = h("h1", { class: "list-title", tabIndex: -1 });
  #body = h("tbody", { role: "rowgroup" });
  #heads;
  #compare = h("a", { class: "button", href: "#/compare" }, "Same patient: compare");
  #exports;
  #cancel = h("button", { class: "button", type: "button", on: { click: () => this.#clear(...PENDING) } }, "Cancel the rest");
  #album;
  #away = null;
  #emptied;

  /** `emptied` is called when there is no row left to hold the focus. */
  constructor(host, album, emptied) {
    this.#album = album;
    this.#emptied = emptied;
    this.#heads = COLUMNS.map(([key, title]) =>
      h("th", { scope: "col", role: "columnheader", class: key }, h("button", { type: "button", on: { click: () => this.#sortBy(key) } }, title)),
    );
    const finished = () => this.lesions.filter(({ state }) => SETTLED.includes(state));
    this.#exports = [
      h("button", { class: "button", type: "button", on: { click: () => downloadCsv(finished()) } }, "Export CSV"),
      h("button", { class: "button", type: "button", on: { click: () => downloadJson(finished()) } }, "Export JSON"),
    ];
    host.replaceChildren(
      h(
        "div",
        { class: "list-head" },
        this.#summary,
        h("div", { class: "actions" }, this.#compare, this.#exports, this.#cancel, h("button", { class: "button", type: "button", on: { click: () => this.#clear(...PENDING, ...SETTLED) } }, "Remove all")),
      ),
      h(
        "table",
        { class: "lesions", role: "table", "aria-label": "Images" }, // the roles outlast the phone's grid layout
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, h("td", { class: "thumb", role: "cell" }), this.#heads, h("td", { class: "remove", role: "cell" }))),
        this.#body,
      ),
    );
  }

  draw(away = this.#away) {
    this.#away = away;
    const lesions = this.lesions;
    const held = document.activeElement;
    const holder = held.closest(".lesions tbody tr");
    this.#summary.textContent = progress(lesions);
    this.#compare.hidden = lesions.filter(({ state }) => state === "done").length < 2;
    for (const button of this.#exports) button.disabled = !lesions.some(({ state }) => SETTLED.includes(state));
    this.#cancel.hidden = !this.#album.pending;
    if (this.#cancel.hidden && held === this.#cancel) this.#summary.focus({ preventScroll: true });
    for (const [id, { row }] of this.#rows) {
      if (lesions.some((lesion) => lesion.id === id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    lesions.forEach((lesion, index) => {
      const row = this.#row(lesion, away);
      if (this.#body.children[index] !== row) this.#body.insertBefore(row, this.#body.children[index] ?? null);
    });
    COLUMNS.forEach(([key], index) => {
      const sorted = this.#order.key === key ? (this.#order.descending ? "descending" : "ascending") : "none";
      this.#heads[index].setAttribute("aria-sort", sorted);
    });
    if (holder?.isConnected && held !== document.activeElement) holder.querySelector(held.localName).focus({ preventScroll: true });
  }

  /** What the heading over the table says. */
  get summary() {
    return this.#summary.textContent;
  }

  /** All images, in the order in which they are shown. */
  get lesions() {
    const { key, descending } = this.#order;
    if (!key) return this.#album.lesions;
    const sorted = this.#album.lesions.toSorted(ORDERS[key]);
    return descending ? sorted.reverse() : sorted;
  }

  #row(lesion, away) {
    const known = this.#rows.get(lesion.id) ?? { row: h("tr", { role: "row" }), drawn: null };
    const drawn = `${lesion.state} ${away}`;
    if (known.drawn !== drawn) {
      known.row.replaceChildren(...cells(lesion, away, (gone) => this.#remove(gone)));
      known.drawn = drawn;
      this.#rows.set(lesion.id, known);
    }
    return known.row;
  }

  #clear(...states) {
    this.#album.clear(...states);
    if (this.#album.lesions.length) this.#summary.focus();
    else this.#emptied();
  }

  /** The focus goes on to the row that takes this one's place. */
  #remove(lesion) {
    const { row } = this.#rows.get(lesion.id);
    const next = row.nextElementSibling ?? row.previousElementSibling;
    this.#album.remove(lesion);
    if (next) next.querySelector("button").focus();
    else this.#emptied();
  }

  #sortBy(key) {
    const again = this.#order.key === key;
    this.#order = { key, descending: again ? !this.#order.descending : key === "probability" };
    this.draw();
  }
}
