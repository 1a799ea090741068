/** One score against the threshold and against the scores of the reference images. */

import { h, svg } from "./dom.js";
import { chance, decimals, percent } from "./words.js";

const HEIGHT = 40;

/** The share of reference images with a lower score; within a bin, scores count as evenly spread. */
export function shareBelow(score, { edges, counts }) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (!all) return null;
  let below = 0;
  counts.forEach((count, bin) => {
    const covered = (score - edges[bin]) / (edges[bin + 1] - edges[bin]);
    below += count * Math.min(1, Math.max(0, covered));
  });
  return below / all;
}

function bars({ edges, counts }, threshold) {
  const density = counts.map((count, bin) => Math.sqrt(count / (edges[bin + 1] - edges[bin])));
  const tallest = Math.max(...density, 1e-9);
  return svg(
    "svg",
    { class: "gauge-bars", viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    density.map((value, bin) => {
      const height = (HEIGHT * value) / tallest;
      const width = 100 * (edges[bin + 1] - edges[bin]);
      return svg("rect", {
        class: edges[bin] >= threshold - 1e-9 ? "beyond" : null,
        x: 100 * edges[bin] + width * 0.06,
        width: width * 0.88,
        y: HEIGHT - height,
        height,
      });
    }),
  );
}

const at = (value) => ({ "--at": value });

const total = ({ counts }) => counts.reduce((sum, count) => sum + count, 0).toLocaleString("en");

function axis(threshold, digits = 1) {
  return [
    h("div", { class: "gauge-axis" }, [0, 25, 50, 75, 100].map((tick) => h("span", { class: "gauge-label", style: at(tick / 100) }, `${tick} %`))),
    h("div", { class: "gauge-line threshold", style: at(threshold) }),
    h("div", { class: "gauge-label threshold", style: at(threshold) }, `threshold ${percent(threshold, digits)}`),
  ];
}

/** A figure of the reference scores alone. */
export function distribution(threshold, reference) {
  const words = `Calibrated probabilities of the ${total(reference)} reference images; bar heights on a square-root scale.`;
  return h(
    "figure",
    { class: "gauge alone" },
    h("div", { class: "gauge-plot", role: "img", "aria-label": words }, bars(reference, threshold), axis(threshold)),
    h("figcaption", { class: "hint" }, words),
  );
}

/** A figure: the score as a marker, the threshold as a line, reference scores as bars behind. */
export function gauge(answer, reference) {
  const { probability, threshold } = answer;
  const digits = decimals(answer);
  const share = reference ? shareBelow(probability, reference) : null;
  const comparison = share === null ? null : `Higher than ${percent(share)} of the ${total(reference)} reference images.`;
  return h(
    "figure",
    { class: "gauge" },
    h(
      "div",
      { class: "gauge-plot", role: "img", "aria-label": `Score ${chance(answer)}, threshold ${percent(threshold, digits)}. ${comparison ?? ""}` },
      reference ? bars(reference, threshold) : null,
      h("div", { class: "gauge-track" }, h("div", { class: "gauge-fill", style: { width: `${100 * probability}%` } })),
      h("div", { class: "gauge-line score", style: at(probability) }),
      h("div", { class: "gauge-label score", style: at(probability) }, "this image"),
      axis(threshold, digits),
    ),
    comparison ? h("figcaption", {}, comparison, h("span", { class: "hint" }, " Bars: their scores, heights on a square-root scale.")) : null,
  );
}

/** The same in the height of a line of text. */
export function minibar({ probability, threshold, label }) {
  return h(
    "span",
    { class: "minibar", data: { label }, "aria-hidden": "true" },
    h("span", { class: "minibar-fill", style: { width: `${100 * probability}%` } }),
    h("span", { class: "minibar-threshold", style: { left: `${100 * threshold}%` } }),
  );
}
