// Segmentation: from a graph's outputs to runs of classes, and from these to a tint over the picture.

import { el } from "./elements.js";
import { mapOut } from "./frame.js";
import { percent, t } from "./i18n.js";

export const scored = false;  // a pixel has a class and no score: a threshold would change nothing

const IGNORE = 255;  // a pixel of no class
const SAID = 3;  // classes in one line
let opacity = 0.55;  // stays when the language or the picture changes
let sliders = 0;  // so many there were

// The same as the server's: {size, runs: [[class, length]], objects: [{label, pixels, share}]}.
export function decode({ labels }, { classes, size }, frame) {
  const values = mapOut(frame, labels, size);
  const runs = [];
  const pixels = new Array(classes.length).fill(0);
  for (let from = 0, to = 0; from < values.length; from = to) {
    while (to < values.length && values[to] === values[from]) to++;
    runs.push([values[from], to - from]);
    if (values[from] !== IGNORE) pixels[values[from]] += to - from;
  }
  const all = pixels.reduce((sum, count) => sum + count, 0);
  const objects = classes
    .map((label, c) => ({ label, pixels: pixels[c], share: pixels[c] / (all || 1) }))
    .filter((one) => one.pixels > 0)
    .sort((a, b) => b.pixels - a.pixels);
  return { size: frame.size, runs, objects };
}

// One line, for who hears the page, and for the history.
export function summary({ objects }) {
  const said = objects.slice(0, SAID).map(({ label, share }) => `${label} ${percent(share)}`);
  return said.join(", ") || t("noClass");
}

// Red, green and blue of a class: hues a golden angle apart, as the drawings of Sightline have them.
export function colour(c) {
  const hue = ((c * 0.61803398875) % 1) * 6;
  const [value, least, rest] = [0.9, 0.9 * (1 - 0.85), hue - Math.floor(hue)];
  const falling = 0.9 * (1 - 0.85 * rest);
  const rising = 0.9 * (1 - 0.85 * (1 - rest));
  return [
    [value, rising, least], [falling, value, least], [least, value, rising],
    [least, falling, value], [rising, least, value], [value, least, falling],
  ][Math.floor(hue) % 6].map((part) => Math.trunc(part * 255));
}

// Paint the classes; a pixel of none stays clear.
function paint(sheet, { size: [height, width], runs }) {
  Object.assign(sheet, { height, width });
  const pixels = new ImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  const tints = new Map();
  let at = 0;
  for (const [c, length] of runs) {
    if (!tints.has(c)) {
      const bytes = c === IGNORE ? [0, 0, 0, 0] : [...colour(c), 255];
      tints.set(c, new Uint32Array(new Uint8Array(bytes).buffer)[0]);
    }
    words.fill(tints.get(c), at, at += length);
  }
  sheet.getContext("2d").putImageData(pixels, 0, 0);
}

// An element; nothing in it changes with the threshold, as pixels have no scores.
export function draw(answer, model, { picture }) {
  const sheet = el("canvas", { role: "img", "aria-label": summary(answer) });
  const id = `opacity-${sliders++}`;
  const said = el("output", { for: id });
  const slider = el("input", { id, type: "range", min: 0, max: 1, step: 0.01, value: opacity });
  const fade = () => {
    opacity = slider.valueAsNumber;
    sheet.style.opacity = opacity;
    said.textContent = percent(opacity);
  };
  slider.addEventListener("input", fade);
  paint(sheet, answer);
  fade();
  const list = el("ol", { className: "objects" }, ...answer.objects.map(({ label, share }) => {
    const mark = el("span", { className: "mark", "aria-hidden": "true" });
    mark.style.background = `rgb(${colour(model.classes.indexOf(label)).join(" ")})`;
    return el("li", {}, mark, el("span", { className: "label", title: label }, label),
      el("span", { className: "figure" }, percent(share)));
  }));
  const element = el("div", { className: "answer" },
    el("figure", { className: "boxes" }, el("img", { alt: "", src: picture }), sheet),
    el("div", { className: "threshold opacity" }, el("label", { for: id }, t("opacity")), said, slider),
    answer.objects.length ? list : el("p", { className: "soft" }, t("noClass")));
  return { element, update: () => {} };
}
