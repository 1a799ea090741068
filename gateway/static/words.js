/** Every sentence that interprets a number or a refusal, in one place. */

export const percent = (value, digits = 0) => `${(100 * value).toFixed(digits)} %`;

/** The decimals of a per cent with which a score and its threshold do not read the same. */
export function decimals({ probability, threshold }) {
  const differ = (digits) => probability === threshold || percent(probability, digits) !== percent(threshold, digits);
  return [1, 2, 3].find(differ) ?? 4;
}

/** A probability as people read it: no false precision, never a flat 0 or 100, and on its own side of the threshold. */
export function chance(answer) {
  const { probability, threshold } = answer;
  if (probability < 0.005) return "under 1 %";
  if (probability >= 0.995) return "over 99 %";
  const close = probability < 0.2 || Math.abs(probability - threshold) < 0.01;
  return percent(probability, close ? decimals(answer) : 0);
}

const inHundred = (value) => (value < 0.005 ? "fewer than 1" : value >= 0.995 ? "more than 99" : `about ${Math.max(1, Math.round(100 * value))}`);

export const VERDICTS = {
  malignant: {
    short: "Above threshold",
    title: "Above the threshold",
    meaning: "The model counts this image among those that need a closer look. It is not a diagnosis.",
    next: "Have a clinician examine the lesion. Many images above the threshold turn out to be harmless.",
  },
  benign: {
    short: "Below threshold",
    title: "Below the threshold",
    meaning: "The model does not count this image among the suspicious ones. That does not rule out cancer.",
    next: "Go by the examination, not by this figure. A spot that is new, changes, itches or bleeds needs a clinician.",
  },
  abstain: {
    short: "No answer",
    title: "The model gives no answer",
    meaning: "It cannot judge this image well enough, and a guess would mislead.",
    next: "Take the image again as described here. If the lesion worries you, do not wait for a better image: see a clinician.",
  },
};

/** Images below which a range of scores tells nothing, and below which it tells little. */
const [ENOUGH, PLENTY] = [20, 100];

/** The test's images with scores like this: its range, widened to both sides until it holds ENOUGH, or all. */
function alike(value, ranges) {
  let from = ranges.findLastIndex(({ lower }) => value >= lower);
  let to = from;
  const sum = (key) => ranges.slice(from, to + 1).reduce((total, range) => total + range[key], 0);
  while (sum("images") < ENOUGH && to - from < ranges.length - 1) {
    from = Math.max(0, from - 1);
    to = Math.min(ranges.length - 1, to + 1);
  }
  return { lower: ranges[from].lower, upper: ranges[to].upper, images: sum("images"), malignant: sum("malignant") };
}

function between(lower, upper) {
  const [from, to] = [lower, upper].map((bound) => Math.round(100 * bound));
  if (from === 0) return to === 100 ? "with any score" : `with a score below ${to} %`;
  return to === 100 ? `with a score of ${from} % or more` : `with a score between ${from} and ${to} %`;
}

function seen(value, ranges) {
  if (!ranges?.length) return "How many images with such a score were malignant in the model’s test is not recorded. ";
  const { lower, upper, images, malignant } = alike(value, ranges);
  const share = malignant ? ` (${inHundred(malignant / images)} in 100)` : "";
  const few = images < PLENTY ? "So few images leave room for chance. " : "";
  return `In the model’s test, ${malignant || "none"} of the ${images} images ${between(lower, upper)} ${malignant > 1 ? "were" : "was"} malignant${share}. ${few}`;
}

/** What became of such scores, and where that ends: `test` = { images, malignant, ece, reliability } of the model's test. */
export function calibrated(value, test) {
  const error =
    test?.ece && !test.reliability?.length ? `The scores were off by ${(100 * test.ece.value).toFixed(0)} in 100 there on average, in some ranges by more. ` : "";
  const overall = test?.images ? `Of all images in the test, ${inHundred(test.malignant / test.images)} in 100 were malignant. ` : "";
  return `${seen(value, test?.reliability)}${error}${overall}Where cancer is rarer, as in most practices, fewer images with such a score are malignant.`;
}

/** How it ranks the images of another collection: `auroc` with the 95 % interval. */
export function transferred({ data, auroc }) {
  const figures = `ROC AUC ${auroc.value.toFixed(2)}, 95 % interval ${auroc.low.toFixed(2)} to ${auroc.high.toFixed(2)}`;
  const ranks = auroc.low > 0.5 ? `reached ${figures}` : `did no better than chance: ${figures}`;
  return `Images from elsewhere may fare worse: on another collection, ${data.replaceAll("_", " ").toUpperCase()}, the model ${ranks}.`;
}

const ABSTENTIONS = {
  blurred: ["The image is not sharp.", "Clean the lens, rest the dermatoscope on the skin, focus, and hold still."],
  badly_exposed: ["The image is too dark, too bright or too flat.", "Use the dermatoscope’s own light, and avoid glare and shadow."],
  unfamiliar: [
    "The image is unlike those the model learned from.",
    "Take a dermoscopic close-up with the whole lesion in the middle. An overview or plain phone photograph, ruler, ink or dressing can cause this.",
  ],
};

/** What a reason for abstaining means and what to do: [what, advice]. */
export const abstention = (reason) => ABSTENTIONS[reason] ?? [`The model said: ${reason.replaceAll("_", " ")}.`, "Try another image of the same lesion."];

export const QUALITY = {
  sharpness: ["Sharpness", "min_sharpness"],
  exposure: ["Exposure", "min_exposure"],
  familiarity: ["Familiarity", "min_familiarity"],
};

/** Title and remedy for each reason a request can be refused with. */
export const REFUSALS = {
  empty_body: ["The file is empty", "Choose the image again; the copy may have been cut short."],
  not_an_image: ["This is not an image", "Add a dermoscopic image saved as JPEG, PNG, WebP, BMP or TIFF."],
  unsupported_format: ["This image format cannot be read", "Save it as JPEG or PNG and add it again."],
  truncated_image: ["The image is incomplete", "Part of the file is missing. Copy it again from the camera or phone."],
  unreadable_file: ["The file can no longer be read", "It was moved or changed, or its card or drive was taken out. Add it again."],
  slow_client: ["The connection is too slow for this image", "Save it at a smaller size, or try again on a better connection."],
  cut_off: ["The connection broke while this image was sent", "It did so each time, though the server is there. Save the image at a smaller size, or try again on another connection."],
  too_many_pixels: ["The image has too many pixels", "Save it at a smaller size and add it again."],
  too_large: ["The file is too large", "Save it as JPEG, or at a smaller size, and add it again."],
  too_small: ["The image is too small", "Use the original image, not a thumbnail."],
  too_many_files: ["Too many images at once", "Remove some, then try again."],
  unauthorized: ["The server did not accept the key", "Ask the person who runs it for a valid API key."],
  forbidden: ["The server refuses this browser", "Ask the person who runs it."],
  busy: ["The server has too much to do", "Wait a minute, then try again."],
  malformed_upload: ["The image did not arrive whole", "Try again. If it keeps failing, tell the person who runs this server."],
  backend_unavailable: ["The model is not ready", "Wait a minute, then try again."],
  shutting_down: ["The server is about to stop", "Wait a minute, then try again."],
  backend_timeout: ["The model took too long", "Wait a minute, then try again. If it keeps failing, tell the person who runs this server."],
  prediction_failed: ["The model failed at this image", "Try again. If it keeps failing, tell the person who runs this server."],
  internal: ["The server failed at this image", "Try again. If it keeps failing, tell the person who runs this server."],
  rate_limited: ["Too many requests for now", "Wait a minute, then try again."],
  other: ["The image could not be analysed", "Try again. If it keeps failing, tell the person who runs this server."],
};

/** The refusals of files that are no whole image. */
export const UNREADABLE = ["empty_body", "not_an_image", "unsupported_format", "truncated_image", "unreadable_file"];

export const CLASSES = {
  akiec: "Actinic keratosis / Bowen’s disease",
  bcc: "Basal cell carcinoma",
  bkl: "Benign keratosis",
  df: "Dermatofibroma",
  mel: "Melanoma",
  nv: "Melanocytic naevus",
  vasc: "Vascular lesion",
  scc: "Squamous cell carcinoma",
};

export const NOTHING_RAISED =
  "The overlay is empty: at every place the model found more that lowers the score than raises it. The score can be above the threshold all the same, and below it this rules nothing out.";

export const OVERLAY =
  "Red marks where the model found what raised its score, relative to the rest of this image. It does not outline the lesion, measure certainty or show disease, and a red area may be an artefact such as hair or a ruler.";

export const WAITING = {
  offline: "Waiting for the connection. Analysed as soon as it is back.",
  unavailable: "The model is not ready. Analysed as soon as it is.",
};

export const BANNERS = {
  offline:
    "No connection to the server. This page needs it to analyse an image: what you add now waits in this tab and is analysed when the connection is back.",
  unavailable: "The server is there, but its model is not ready. Images wait in this tab and are analysed as soon as it is.",
};
