/** The model card: what the model is for, how well it does and for whom, and the card's own text. */

import { h } from "./dom.js";
import { distribution } from "./gauge.js";
import { markdown } from "./markdown.js";
import { percent } from "./words.js";

const interval = ([low, high]) => `${percent(low, 1)} to ${percent(high, 1)}`;

function thresholds({ thresholds: list, operating_point: served }) {
  return [
    h("h2", {}, "Thresholds"),
    h(
      "div",
      { class: "scroller", tabIndex: 0, role: "region", "aria-label": "Thresholds" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, ["Sensitivity aimed at", "Threshold", "Reached on validation images, 95 % interval", "Specificity there", "95 % interval"].map((title) => h("th", { scope: "col" }, title)))),
        h(
          "tbody",
          {},
          list.map((row) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, `${percent(row.sensitivity, 0)} sensitivity`, row.sensitivity === served ? h("span", { class: "chip", data: { label: "benign" } }, "served") : null),
              h("td", {}, row.value.toFixed(3)),
              h("td", {}, interval(row.sensitivity_ci)),
              h("td", {}, percent(row.specificity, 1)),
              h("td", {}, interval(row.specificity_ci)),
            ),
          ),
        ),
      ),
    ),
  ];
}

function facts(manifest, sha256) {
  const rows = [
    ["Version", manifest.version],
    ["Network", `${manifest.architecture}, ${manifest.head} head, ${manifest.geometry.size} × ${manifest.geometry.size} pixels`],
    ["Learned and tested on", `${manifest.data.name}, ${manifest.data.rows.toLocaleString("en")} images (${manifest.data.licence})`],
    ["Licence", manifest.licence],
    ["Made", manifest.created?.slice(0, 10)],
    ["Bundle SHA-256", sha256 && h("code", {}, sha256)],
  ];
  return h("dl", { class: "figures" }, rows.filter(([, value]) => value).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

/** Without its title, which the view has, and without pictures that lie beside the file. */
const servable = (card) => card.replace(/^\s*# .*\n/, "").replace(/^## Figures\n[\s\S]*?(?=^## |$(?![\s\S]))/m, "");

export function cardView(model, away) {
  if (!model) {
    const words = away === "offline" ? "The model card comes from the server, which cannot be reached just now." : "Asking the server for the model card …";
    return [h("h1", { tabIndex: -1 }, "Model card"), h("p", {}, words)];
  }
  const { manifest, card } = model;
  const served = manifest.thresholds.find(({ sensitivity }) => sensitivity === manifest.operating_point);
  return [
    h("h1", { tabIndex: -1 }, "Model card"),
    h("p", { class: "lede" }, manifest.intended_use),
    facts(manifest, manifest.sha256),
    served ? distribution(served.value, manifest.reference_scores) : null,
    /^## Thresholds/m.test(card) ? null : thresholds(manifest),
    card ? h("article", { class: "prose" }, markdown(servable(card))) : null,
  ].flat().filter(Boolean);
}
