/** What the model said, as a file: CSV for a spreadsheet, JSON for a program. */

import { byId, h } from "./dom.js";

const noticeText = () => byId("notice").textContent.replace(/\s+/g, " ").trim();
const FIXED = ["file", "label", "probability", "threshold", "target_sensitivity", "reasons", "sharpness", "exposure", "familiarity"];
const LAST = ["model", "version", "sha256", "error", "message", "notice"];

/** One flat record a lesion. */
function record({ name, answer, problem }) {
  if (!answer) return { file: name, error: problem.reason, message: problem.message, notice: noticeText() };
  const { label, probability, threshold, sensitivity, reasons, quality, classes, model, notice } = answer;
  return {
    file: name,
    label,
    probability,
    threshold,
    target_sensitivity: sensitivity,
    reasons: reasons.join(" "),
    ...quality,
    ...Object.fromEntries(Object.entries(classes ?? {}).map(([key, share]) => [`class_${key}`, share])),
    model: model.name,
    version: model.version,
    sha256: model.sha256,
    notice,
  };
}

/** Quoted where needed; a leading apostrophe keeps a spreadsheet from running a file name as a formula. */
function field(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(lesions) {
  const records = lesions.map(record);
  const classes = [...new Set(records.flatMap((row) => Object.keys(row).filter((key) => key.startsWith("class_"))))];
  const columns = [...FIXED, ...classes, ...LAST];
  const lines = [columns, ...records.map((row) => columns.map((column) => row[column]))];
  return lines.map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
}

export function json(lesions) {
  const results = lesions.map(({ name, answer, problem }) =>
    answer ? { file: name, ...answer } : { file: name, error: { reason: problem.reason, message: problem.message } },
  );
  return `${JSON.stringify({ exported: new Date().toISOString(), notice: noticeText(), results }, null, 2)}\n`;
}

function save(text, type, suffix) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  h("a", { href: url, download: `dermserve-${stamp}.${suffix}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The byte-order mark tells spreadsheets that the text is UTF-8. */
export const downloadCsv = (lesions) => save(`\uFEFF${csv(lesions)}`, "text/csv", "csv");
export const downloadJson = (lesions) => save(json(lesions), "application/json", "json");
