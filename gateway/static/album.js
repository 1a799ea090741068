/** The images in this tab and what is known of each. Nothing outlives the tab. */

export const PENDING = ["queued", "sending"];

export class Album extends EventTarget {
  #next = 1;
  lesions = [];

  /** Adds files as queued lesions and returns them. */
  add(files) {
    const added = [...files].map((file) => ({
      id: this.#next++,
      file,
      name: file.name || "Pasted image",
      url: URL.createObjectURL(file),
      state: "queued", // then sending, and in the end done or failed
      cuts: 0,
      answer: null,
      problem: null,
      heatmap: null,
      legend: null,
    }));
    this.lesions.push(...added);
    this.#changed();
    return added;
  }

  get pending() {
    return this.lesions.some(({ state }) => PENDING.includes(state));
  }

  get(id) {
    return this.lesions.find((lesion) => lesion.id === Number(id));
  }

  update(lesion, facts) {
    Object.assign(lesion, facts);
    this.#changed();
  }

  remove(lesion) {
    URL.revokeObjectURL(lesion.url);
    this.lesions = this.lesions.filter((other) => other !== lesion);
    this.#changed();
  }

  /** Removes those in one of these states. */
  clear(...states) {
    for (const lesion of this.lesions.filter(({ state }) => states.includes(state))) this.remove(lesion);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
