/** Build elements without markup strings, so that nothing a server or a file name says can become code. */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (name === "style") for (const [key, setting] of Object.entries(value)) node.style.setProperty(key, setting);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name in node && !name.startsWith("aria") && !(node instanceof SVGElement)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const h = (tag, props = {}, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props = {}, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** A small picture beside its name; what the browser cannot show is a question mark. */
export function thumbnail(source, size) {
  const picture = h("img", { class: "thumbnail", loading: "lazy", decoding: "async", src: source, alt: "", width: size, height: size });
  picture.addEventListener("error", () => picture.replaceWith(h("span", { class: "thumbnail", "aria-hidden": "true" }, "?")));
  return picture;
}

export const byId = (id) => document.getElementById(id);

/** Say something to a screen reader without moving its focus. */
export function announce(text) {
  byId("announcer").textContent = text;
}
