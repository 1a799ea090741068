/** One image and what the model says of it, in lay words first and in figures below. */

import { byId, h } from "./dom.js";
import { downloadJson } from "./export.js";
import { gauge } from "./gauge.js";
import { stage } from "./stage.js";
import { abstention, calibrated, chance, CLASSES, decimals, percent, QUALITY, REFUSALS, transferred, VERDICTS, WAITING } from "./words.js";

const interval = ({ low, high }) => `${percent(low, 1)} to ${percent(high, 1)}`;

function meter(name, value, least) {
  const low = least !== undefined && value < least;
  return h(
    "li",
    { class: low ? "low" : null },
    h("span", { class: "meter-name" }, name, low ? h("em", {}, " too low") : null),
    h(
      "span",
      { class: "meter" },
      h("span", { class: "meter-fill", style: { width: percent(Math.min(1, Math.max(0, value)), 1).replace(" ", "") } }),
      least ? h("span", { class: "meter-limit", style: { left: `${100 * least}%` } }) : null,
    ),
    h("span", { class: "figure" }, value.toFixed(2)),
  );
}

function quality(answer, manifest) {
  const limits = manifest?.quality ?? {};
  const known = Object.entries(QUALITY).filter(([key]) => Number.isFinite(answer.quality?.[key]));
  if (!known.length) return null;
  return [
    h("h3", {}, "Image quality"),
    h("ul", { class: "meters" }, known.map(([key, [name, limit]]) => meter(name, answer.quality[key], limits[limit]))),
  ];
}

function classes(answer) {
  if (!answer.classes) return null;
  const ranked = Object.entries(answer.classes).sort(([, a], [, b]) => b - a);
  return [
    h("h3", {}, "Share of each class"),
    h("ul", { class: "meters" }, ranked.map(([key, value]) => meter(Object.hasOwn(CLASSES, key) ? CLASSES[key] : key, value))),
  ];
}

function figures(answer, manifest) {
  const served = manifest?.operating_point === answer.sensitivity;
  const heldOut = (name) => {
    const measured = served && manifest.report?.test?.[name];
    return measured && [`${name[0].toUpperCase()}${name.slice(1)} on held-out images`, `${percent(measured.value, 1)} (95 % interval ${interval(measured)})`];
  };
  const flagged = served && manifest.report?.test?.flagged;
  const digits = 2 + decimals(answer);
  const rows = [
    ["Calibrated probability", answer.probability === null ? "none given" : answer.probability.toFixed(digits)],
    ["Threshold", answer.threshold?.toFixed(digits)],
    ["Threshold chosen for", `${percent(answer.sensitivity, 0)} sensitivity on validation data`],
    heldOut("sensitivity"),
    flagged && ["The same, no answer counted as a miss", `${percent(flagged.value, 1)} (95 % interval ${interval(flagged)})`],
    heldOut("specificity"),
    ["Model", `${answer.model.name} ${answer.model.version}`],
    ["Bundle SHA-256", h("code", { title: answer.model.sha256 }, `${answer.model.sha256.slice(0, 16)}…`)],
  ].filter(Boolean);
  return [
    h("h3", {}, "Figures"),
    h("dl", { class: "figures" }, rows.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value)))),
  ];
}

function elsewhere(reports) {
  return (reports ?? []).filter(({ auroc }) => Number.isFinite(auroc?.value)).map((report) => h("p", {}, transferred(report)));
}

function reasons(answer) {
  if (!answer.reasons?.length) return null;
  return h(
    "ul",
    { class: "reasons" },
    answer.reasons.map((reason) => {
      const [what, advice] = abstention(reason);
      return h("li", {}, h("strong", {}, what), " ", advice);
    }),
  );
}

const scored = ({ answer }) => answer !== null && answer.probability !== null;

const verdict = (label, title, meaning) => h("div", { class: "verdict", data: { label } }, h("h2", {}, title), h("p", {}, meaning));

/** What belongs on the first screen, whatever its size. */
function headline(lesion, away) {
  const { state, answer, problem } = lesion;
  if (state === "failed") return verdict("failed", ...(REFUSALS[problem.reason] ?? REFUSALS.other));
  if (state !== "done") return verdict("pending", away ? "Waiting" : "Analysing …", WAITING[away] ?? "This takes a moment.");
  const { title, meaning } = VERDICTS[answer.label];
  return [
    verdict(answer.label, title, meaning),
    scored(lesion)
      ? h("p", { class: "score" }, h("span", { class: "numeral" }, chance(answer)), h("span", {}, "calibrated probability of malignancy"))
      : null,
    reasons(answer),
  ];
}

function answered(lesion, model) {
  const { answer } = lesion;
  return [
    scored(lesion) ? [gauge(answer, model?.manifest?.reference_scores), h("p", {}, calibrated(answer.probability, model?.manifest?.report?.test)), elsewhere(model?.manifest?.report?.elsewhere)] : null,
    h("p", { class: "next" }, h("strong", {}, "What now. "), VERDICTS[answer.label].next),
    h("div", { class: "details" }, figures(answer, model?.manifest), quality(answer, model?.manifest), classes(answer)),
    h("p", { class: "actions" }, h("button", { class: "button", type: "button", on: { click: () => downloadJson([lesion]) } }, "Save as JSON")),
  ];
}

/** The statuses with which an image itself is refused: sending it again cannot help. */
const AT_FAULT = [400, 413, 415, 422];

function refused(lesion, { retry, remove }) {
  return [
    h("p", { class: "hint" }, `In detail: ${lesion.problem.message}`),
    h(
      "p",
      { class: "actions" },
      AT_FAULT.includes(lesion.problem.status)
        ? h("button", { class: "button primary", type: "button", on: { click: () => byId("choose").click() } }, "Choose another image")
        : h("button", { class: "button primary", type: "button", on: { click: retry } }, "Try again"),
      h("button", { class: "button", type: "button", on: { click: remove } }, "Remove this image"),
    ),
  ];
}

/** Links to the lesions before and after, where there are such. */
export function steps([previous, next]) {
  const step = (other, label, sign) => other && h("a", { class: "button quiet", href: `#/image/${other.id}`, "aria-label": label, title: label }, sign);
  return h("span", { class: "steps" }, step(previous, "Previous image", "‹"), step(next, "Next image", "›"));
}

/** The whole view of one lesion; `around` = [previous, next] lesions or null. */
export function resultView(lesion, { model, away, around, actions }) {
  const findings = lesion.state === "done" ? answered(lesion, model) : lesion.state === "failed" ? refused(lesion, actions) : null;
  return [
    h(
      "nav",
      { class: "crumbs", "aria-label": "Images" },
      h("a", { class: "button quiet", href: "#/" }, "← All images"),
      h("h1", { tabIndex: -1 }, lesion.name),
      steps(around),
    ),
    h(
      "article",
      { class: "result" },
      h("div", { class: "headline", "aria-busy": lesion.state === "sending" ? "true" : "false" }, headline(lesion, away)),
      stage(lesion, { crop: model?.manifest?.geometry?.crop ?? 1, seen: lesion.state !== "failed", explainable: scored(lesion) }),
      findings && h("div", { class: "findings" }, findings),
    ),
  ];
}
