/** Ties the rooms together: what is added is queued, what is known is drawn, the address says which view is open. */

import { Album, PENDING } from "./album.js";
import { onKeyNeeded } from "./api.js";
import { cardView } from "./card.js";
import { CompareView } from "./compare.js";
import { announce, byId } from "./dom.js";
import { openIntake } from "./intake.js";
import { Queue } from "./queue.js";
import { resultView, steps } from "./result.js";
import { LesionTable } from "./table.js";
import { BANNERS, chance, REFUSALS, VERDICTS } from "./words.js";

const VIEWS = ["analyse", "image", "compare", "model"];
const album = new Album();
const queue = new Queue(album);
const table = new LesionTable(byId("list"), album, () => focusHeading("analyse"));
const comparison = new CompareView(byId("view-compare"), album);
let model = null;
let drawn = {};
let unsaid = 0;

function route() {
  const [, view = "", id] = location.hash.split("/");
  const lesion = view === "image" ? album.get(id) : null;
  if (view === "image" && !lesion) return { view: "analyse" };
  return { view: VIEWS.includes(view) ? view : "analyse", lesion };
}

function neighbours(lesion) {
  const shown = table.lesions;
  const position = shown.indexOf(lesion);
  return [shown[position - 1] ?? null, shown[position + 1] ?? null];
}

function drawImage(lesion) {
  const around = neighbours(lesion);
  const answer = [lesion.state, PENDING.includes(lesion.state) && queue.away, model?.manifest?.version].join();
  const beside = around.map((other) => other?.id).join();
  const before = drawn;
  drawn = { lesion, answer, beside };
  const view = byId("view-image");
  const focused = view.contains(document.activeElement);
  if (before.lesion === lesion && before.answer === answer) {
    if (before.beside !== beside) view.querySelector(".steps").replaceWith(steps(around));
    if (focused && !view.contains(document.activeElement)) focusHeading("image");
    return;
  }
  const actions = {
    retry: () => {
      album.update(lesion, { state: "queued", problem: null, cuts: 0 });
      queue.work();
    },
    remove: () => {
      album.remove(lesion);
      location.hash = "#/";
    },
  };
  view.replaceChildren(...resultView(lesion, { model, away: queue.away, around, actions }).flat());
  if (focused) focusHeading("image"); // the answer must not throw whoever waits for it back to the top of the page
}

function ask(event) {
  event.preventDefault();
  event.returnValue = true; // what Chromium before 119 goes by
}

function draw() {
  const { view, lesion } = route();
  for (const name of VIEWS) byId(`view-${name}`).hidden = name !== view;
  const images = album.lesions.length;
  byId("view-analyse").classList.toggle("filled", images > 0);
  byId("list").hidden = images === 0;
  (images ? addEventListener : removeEventListener)("beforeunload", ask);
  table.draw(queue.away);
  if (view === "image") drawImage(lesion);
  if (drawn.lesion && !album.get(drawn.lesion.id)) {
    byId("view-image").replaceChildren();
    drawn = {};
  }
  if (!images) comparison.clear();
  if (view === "compare") comparison.draw();
  for (const link of document.querySelectorAll("nav [data-view]")) {
    const here = link.dataset.view === (view === "model" ? "model" : "analyse");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function focusHeading(view) {
  const headings = [...document.querySelectorAll(`#view-${view} h1`)];
  headings.find((heading) => heading.offsetParent)?.focus({ preventScroll: true });
}

function open() {
  const { view, lesion } = route();
  draw();
  if (view === "model") byId("view-model").replaceChildren(...cardView(model, queue.away));
  // not the file's name, which may be a patient's: the browser's history keeps titles
  document.title = { image: `Image ${lesion?.id} – Dermserve`, compare: "Same patient – Dermserve", model: "Model card – Dermserve" }[view] ?? "Dermserve";
}

function receive(files) {
  const alone = album.lesions.length === 0 && files.length === 1;
  if (!album.pending) unsaid = 0;
  const [first] = album.add(files);
  queue.work();
  const target = alone ? `#/image/${first.id}` : "#/";
  announce(`${files.length === 1 ? first.name : `${files.length} images`} added`);
  if (location.hash === target || (target === "#/" && !location.hash)) draw();
  else location.hash = target;
}

function showStatus() {
  const status = byId("status");
  const state = queue.away ?? (model ? "ready" : "unknown");
  status.dataset.state = state;
  const words = { ready: `Model ${model?.manifest?.version ?? ""} ready`, offline: "Offline", unavailable: "Model not ready", locked: "Key needed", unknown: "Connecting …" };
  status.textContent = words[state];
  const banner = byId("banner");
  banner.textContent = BANNERS[queue.away] ?? "";
  banner.hidden = !banner.textContent;
}

function outcome({ name, answer, problem }) {
  if (problem) return `${name}: ${(REFUSALS[problem.reason] ?? REFUSALS.other)[0]}`;
  return `${name}: ${VERDICTS[answer.label].title}${answer.probability === null ? "" : `, ${chance(answer)}`}`;
}

/** Of many images, the total alone is said, at the end. */
function settled({ detail: lesion }) {
  unsaid += 1;
  const last = !album.pending;
  if (route().lesion === lesion || (last && unsaid === 1)) announce(outcome(lesion));
  else if (last) announce(table.summary);
  if (last) unsaid = 0;
}

onKeyNeeded(async (refused) => {
  const dialog = byId("key-dialog");
  byId("key-refused").hidden = !refused;
  byId("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  return dialog.returnValue === "use" ? byId("key").value : null;
});

album.addEventListener("change", draw);
queue.addEventListener("settled", settled);
queue.addEventListener("away", () => {
  showStatus();
  draw();
});
queue.addEventListener("model", ({ detail }) => {
  model = detail;
  showStatus();
  if (route().view === "model") byId("view-model").replaceChildren(...cardView(model, queue.away));
  draw();
});
addEventListener("hashchange", () => {
  open();
  scrollTo(0, 0);
  focusHeading(route().view);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]:not([href^="#/"])');
  if (!link) return;
  event.preventDefault(); // the address says which view is open, not which part of it
  const part = byId(link.getAttribute("href").slice(1));
  part?.focus({ preventScroll: true });
  part?.scrollIntoView();
});
byId("incomplete").remove();
openIntake(receive);
showStatus();
open();
queue.probe();

if ("serviceWorker" in navigator && isSecureContext) {
  const worker = "sw.js";
  const trusted = window.trustedTypes?.createPolicy("dermserve", { createScriptURL: () => worker }).createScriptURL(worker) ?? worker;
  navigator.serviceWorker.register(trusted).catch(() => {});
}
