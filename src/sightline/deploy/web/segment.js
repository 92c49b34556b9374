// Segmentation: from a graph's scores to the classes of pixels, and from these to a tint over the picture.

import { el } from "./elements.js";
import { classesOut } from "./frame.js";
import { percent, t } from "./i18n.js";

export const scored = false;  // a pixel has a class and no score: a threshold would change nothing

const BACKGROUND = new Set(["background", "背景"]);  // stands for everything else: no tint
const SAID = 3;  // classes in one line
let opacity = 0.55;  // stays when the language or the picture changes
let sliders = 0;  // so many there were

// The same as the server's, {size, objects: [{label, pixels, share}], more}, with the class of every
// pixel as a map in place of the codes of each class.
export function decode({ scores }, { classes, size }, frame) {
  const map = classesOut(frame, scores, classes.length, size);
  const pixels = new Array(classes.length).fill(0);
  for (const c of map) pixels[c] += 1;
  const objects = classes
    .map((label, c) => ({ label, pixels: pixels[c], share: pixels[c] / map.length }))
    .filter((one) => one.pixels > 0)
    .sort((a, b) => b.pixels - a.pixels);
  return { size: frame.size, objects, more: 0, map };
}

// The run lengths in COCO's code: numbers of five bits a letter, from the third on less the one
// before the last.
export function runs(code) {
  const lengths = [];
  for (let at = 0; at < code.length;) {
    let [length, bits, more] = [0, 0, true];
    while (more) {
      const letter = code.charCodeAt(at++) - 48;
      length |= (letter & 31) << bits;
      bits += 5;
      more = letter & 32;
      if (!more && letter & 16) length |= -1 << bits;
    }
    lengths.push(lengths.length > 2 ? length + lengths[lengths.length - 2] : length);
  }
  return lengths;
}

// The class of every pixel by rows: of the server's codes, which go down the columns; -1: not told.
export function mapOf({ size: [height, width], objects, map }, classes) {
  if (map) return map;
  const values = new Int32Array(height * width).fill(-1);
  for (const { label, counts } of objects) {
    const c = classes.indexOf(label);
    let at = 0;
    for (const [i, length] of runs(counts).entries()) {
      for (const end = at + length; at < end; at++) {
        if (i % 2) values[(at % height) * width + Math.floor(at / height)] = c;
      }
    }
  }
  return values;
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

const isBackground = (label) => BACKGROUND.has(label.trim().toLowerCase());

// Paint the classes; a pixel of which none is told stays clear.
function paint(sheet, answer, classes) {
  const [height, width] = answer.size;
  Object.assign(sheet, { height, width });
  const pixels = new ImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  const tints = classes.map((label, c) => {
    const opaque = isBackground(label) ? 0 : 255;
    return new Uint32Array(new Uint8Array([...colour(c), opaque]).buffer)[0];
  });
  mapOf(answer, classes).forEach((c, at) => { words[at] = c < 0 ? 0 : tints[c]; });
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
  paint(sheet, answer, model.classes);
  fade();
  const list = el("ol", { className: "objects" }, ...answer.objects.map(({ label, share }) => {
    const mark = el("span", { className: "mark", "aria-hidden": "true" });
    const tint = colour(model.classes.indexOf(label)).join(" ");
    mark.style.background = isBackground(label) ? "transparent" : `rgb(${tint})`;
    return el("li", {}, mark, el("span", { className: "label", title: label }, label),
      el("span", { className: "figure" }, percent(share)));
  }));
  const element = el("div", { className: "answer" },
    el("figure", { className: "boxes" }, el("img", { alt: "", src: picture }), sheet),
    el("div", { className: "threshold opacity" }, el("label", { for: id }, t("opacity")), said, slider),
    answer.objects.length ? list : el("p", { className: "soft" }, t("noClass")));
  return { element, update: () => {} };
}
