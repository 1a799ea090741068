/** The part of Markdown that model cards use, as elements: headings, paragraphs, lists, tables, code, emphasis, links. */

import { h } from "./dom.js";

const INLINE = /\\([!-/:-@[-`{-~])|\*\*(.+?)\*\*|`([^`]+)`|!\[([^\]]*)\]\(([^)\s]+)\)|\[([^\]]+)\]\(([^)\s]+)\)|\*([^*\s][^*]*)\*|_([^_\s][^_]*)_(?!\w)/g;

/** The name that Markdown gives a heading to link to; the prefix keeps it apart from the page's own. */
const anchor = (title) => `part-${title.toLowerCase().replace(/[^\p{L}\p{N}_\s-]/gu, "").replace(/\s/g, "-")}`;

function link(text, target) {
  if (target.startsWith("#")) return h("a", { href: `#part-${target.slice(1)}` }, ...inline(text));
  return /^(https?:|\.?\/)/.test(target) ? h("a", { href: target, rel: "noreferrer" }, ...inline(text)) : text;
}

function picture(alt, source) {
  return /^data:image\//.test(source) ? h("img", { src: source, alt }) : h("em", {}, alt);
}

function inline(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, escaped, strong, code, alt, source, label, target, starred, underscored] = match;
    nodes.push(text.slice(end, match.index));
    if (escaped) nodes.push(escaped);
    else if (strong) nodes.push(h("strong", {}, ...inline(strong)));
    else if (code) nodes.push(h("code", {}, code));
    else if (source) nodes.push(picture(alt, source));
    else if (target) nodes.push(link(label, target));
    else nodes.push(h("em", {}, starred ?? underscored));
    end = match.index + whole.length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}

const INTERVAL = /^\*{0,2}(0\.\d+|1\.0+) \[(0\.\d+|1\.0+), (0\.\d+|1\.0+)\]\*{0,2}$/;

/** A value with its interval is drawn as well as written. */
function cell(text) {
  const [, value, low, high] = INTERVAL.exec(text) ?? [];
  if (!value) return inline(text);
  const at = (share) => `${100 * share}%`;
  const line = h("span", { class: "forest-line", style: { left: at(low), width: at(high - low) } });
  return [...inline(text), h("span", { class: "forest", "aria-hidden": "true" }, line, h("span", { class: "forest-dot", style: { left: at(value) } }))];
}

const ESCAPED_BAR = "\0";
const cells = (line) =>
  line
    .trim()
    .replace(/\\\|/g, ESCAPED_BAR)
    .replace(/^\||\|$/g, "")
    .split("|")
    .map((cell) => cell.trim().split(ESCAPED_BAR).join("|"));

function table(lines) {
  const [head, , ...rows] = lines.map(cells);
  return h(
    "div",
    { class: "scroller", tabIndex: 0, role: "region", "aria-label": `Table: ${head.filter(Boolean).join(", ")}` },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, head.map((title) => (title ? h("th", { scope: "col" }, inline(title)) : h("td"))))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((text, index) => (index ? h("td", {}, cell(text)) : h("th", { scope: "row" }, inline(text))))))),
    ),
  );
}

const listItem = /^\s*(?:[-*+]|\d+[.)])\s+/;

function block(lines) {
  const [first] = lines;
  if (/^\|/.test(first) && /^\|?[\s:|-]+$/.test(lines[1] ?? "")) return table(lines);
  if (listItem.test(first)) {
    const items = lines.join("\n").split(/\n(?=\s*(?:[-*+]|\d+[.)])\s)/);
    return h(/^\s*\d/.test(first) ? "ol" : "ul", {}, items.map((item) => h("li", {}, inline(item.replace(listItem, "").replace(/\s*\n\s*/g, " ")))));
  }
  if (/^>/.test(first)) return h("blockquote", {}, inline(lines.map((line) => line.replace(/^>\s?/, "")).join(" ")));
  return h("p", {}, inline(lines.join(" ")));
}

/** Elements for a document. */
export function markdown(text) {
  const nodes = [];
  let lines = [];
  let fence = null;
  const flush = () => {
    if (lines.length) nodes.push(block(lines));
    lines = [];
  };
  for (const line of text.replace(/^---\n[\s\S]*?\n---\n/, "").replace(/<!--[\s\S]*?-->/g, "").split(/\r?\n/)) {
    if (fence) {
      if (line.startsWith("```")) {
        nodes.push(h("pre", { tabIndex: 0 }, h("code", {}, fence.slice(1).join("\n"))));
        fence = null;
      } else fence.push(line);
      continue;
    }
    const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line);
    if (line.startsWith("```")) {
      flush();
      fence = [line];
    } else if (heading) {
      flush();
      nodes.push(h(`h${heading[1].length}`, { id: anchor(heading[2]), tabIndex: -1 }, inline(heading[2])));
    } else if (!line.trim()) flush();
    else if (lines.length && listItem.test(line) !== listItem.test(lines[0]) && listItem.test(line)) {
      flush();
      lines.push(line);
    } else lines.push(line);
  }
  flush();
  return nodes;
}
