/** The image with the square that the model sees, and the map of what weighed most over it. */

import { explain } from "./api.js";
import { announce, h } from "./dom.js";
import { NOTHING_RAISED, OVERLAY } from "./words.js";

function picture(lesion, crop, heat, seen) {
  const square = seen && h("div", { class: "crop", style: { "--crop": crop } }, heat);
  const photo = h("img", { class: "photo", src: lesion.url, alt: `Preview of ${lesion.name}` });
  const frame = h("div", { class: "stage" }, photo, square);
  photo.addEventListener("load", () => {
    frame.style.setProperty("--ratio", photo.naturalWidth / photo.naturalHeight);
    frame.classList.add("loaded");
  });
  photo.addEventListener("error", () => {
    photo.remove();
    frame.classList.add("blind");
    frame.prepend(h("p", { class: "hint" }, "Your browser cannot show this file."));
  });
  return frame;
}

/** Whether a map shows anything; one that cannot be read is left to the browser. */
async function isEmpty(map) {
  const image = h("img", { src: map });
  if (!(await image.decode().then(() => true, () => false))) return false;
  const { naturalWidth: width, naturalHeight: height } = image;
  const canvas = h("canvas", { width, height }).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const { data } = canvas.getImageData(0, 0, width, height);
  return data.every((value, index) => index % 4 !== 3 || value === 0);
}

/** A figure with the preview; `seen` frames what the model sees of it, `explainable` adds the overlay and its controls. */
export function stage(lesion, { crop, seen, explainable }) {
  const heat = h("img", { class: "heat", alt: "", hidden: true });
  const caption = seen && h("figcaption", { class: "hint" }, "Framed: the square that the model sees.");
  const figure = h("figure", { class: "viewer" }, picture(lesion, crop, heat, seen), caption);
  if (!explainable) return figure;

  const slider = h("input", { type: "range", id: "opacity", min: 0, max: 100, value: 85 });
  const fade = () => {
    heat.style.opacity = slider.value / 100;
    slider.setAttribute("aria-valuetext", `${slider.value} %`);
  };
  slider.addEventListener("input", fade);
  fade();
  const legend = h("p", { class: "hint" });
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const strength = h("div", { class: "slider" }, h("label", { htmlFor: "opacity" }, "Strength of the overlay"), slider);
  const ramp = h("span", { class: "ramp", "aria-hidden": "true" });
  const scale = h("div", { class: "scale" }, h("span", {}, "raised it little"), ramp, h("span", {}, "raised it most"));
  const panel = h("div", { class: "overlay-panel", hidden: true }, strength, scale, legend);
  const toggle = h("button", { class: "button", type: "button" }, "Show what raised the score");

  function show(visible) {
    heat.hidden = !visible;
    panel.hidden = !visible;
    toggle.textContent = visible ? "Hide the overlay" : "Show what raised the score";
  }

  toggle.addEventListener("click", async () => {
    if (toggle.ariaDisabled) return;
    if (!panel.hidden) return show(false);
    trouble.hidden = true;
    if (!lesion.heatmap) {
      toggle.ariaDisabled = "true"; // being disabled would cost it the focus
      toggle.textContent = "Asking the model …";
      try {
        const { heatmap, legend: words } = await explain(lesion.file);
        if (!heatmap) throw new Error("The model gave no map for this image.");
        Object.assign(lesion, { heatmap, legend: words, empty: await isEmpty(heatmap) });
      } catch (error) {
        trouble.textContent = error.kind ? "The map cannot be made just now: no answer from the server. Try again in a moment." : error.message;
        trouble.hidden = false;
        return show(false);
      } finally {
        toggle.ariaDisabled = null;
      }
      announce(lesion.empty ? NOTHING_RAISED : "Overlay shown");
    }
    heat.src = lesion.heatmap;
    strength.hidden = scale.hidden = lesion.empty;
    legend.textContent = lesion.empty ? NOTHING_RAISED : (lesion.legend ?? OVERLAY);
    show(true);
  });

  figure.append(toggle, trouble, panel);
  return figure;
}
