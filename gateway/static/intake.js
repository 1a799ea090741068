/** The ways an image comes in: dropped anywhere, pasted, chosen, photographed. */

import { byId } from "./dom.js";

export function openIntake(receive) {
  const zone = byId("intake");
  for (const input of [byId("choose"), byId("photograph")]) {
    input.addEventListener("change", () => {
      if (input.files.length) receive([...input.files]);
      input.value = "";
    });
  }

  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const highlight = () => zone.classList.toggle("over", depth > 0);
  addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) depth += 1;
    highlight();
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    highlight();
  });
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    depth = 0;
    highlight();
    if (!carriesFiles(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) receive([...event.dataTransfer.files]);
  });

  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    receive(files);
  });
}
