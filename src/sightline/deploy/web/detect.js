// Detection: from a graph's outputs to objects, and from these to boxes over the picture.

import { el } from "./elements.js";
import { out } from "./frame.js";
import { percent, t } from "./i18n.js";

export const LEAST = 0.3;  // score below which an object is not told, where no threshold is given
const SVG = "http://www.w3.org/2000/svg";

// The same as the server's: {objects: [{label, score, box}], more}.
export function decode({ boxes, scores, labels }, { classes }, frame) {
  const objects = scores.flatMap((score, i) => (score < LEAST ? [] : [{
    label: classes[labels[i]], score: Math.min(1, score),
    box: out(frame, boxes.slice(4 * i, 4 * i + 4)),
  }]));
  return { objects, more: 0 };
}

export const above = ({ objects }, threshold) => objects.filter(({ score }) => score >= threshold);

// How many of each class, the most frequent first.
function counts(objects) {
  const many = new Map();
  for (const { label } of objects) many.set(label, (many.get(label) ?? 0) + 1);
  return [...many].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

// One line, for who hears the page, and for the history.
export function summary(answer, threshold) {
  const said = counts(above(answer, threshold)).map(([label, n]) => `${n} ${label}`);
  return said.join(", ") || t("nothing");
}

// Hues a golden angle apart, by class, as the drawings of Sightline have them.
export function hue(classes, label) {
  return Math.round(360 * ((classes.indexOf(label) * 0.61803398875) % 1));
}

function shape(kind, given) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
  return made;
}

export function draw(answer, model, { picture }) {
  const sheet = shape("svg", { role: "img", preserveAspectRatio: "none" });
  const image = el("img", { alt: "", src: picture });
  const list = el("ol", { className: "objects" });
  const none = el("p", { className: "soft" }, t("nothing"));
  const element = el("div", { className: "answer" },
    el("figure", { className: "boxes" }, image, sheet), none, list);
  let threshold = 0;
  const update = (value) => {
    threshold = value;
    const objects = above(answer, value);
    none.hidden = objects.length > 0;
    sheet.setAttribute("aria-label", summary(answer, value));
    list.replaceChildren(...objects.map(({ label, score }) => {
      const mark = el("span", { className: "mark", "aria-hidden": "true" });
      mark.style.background = `hsl(${hue(model.classes, label)} 85% 45%)`;
      return el("li", {}, mark, el("span", { className: "label", title: label }, label),
        el("span", { className: "figure" }, percent(score)));
    }));
    if (!image.naturalWidth) return;
    sheet.setAttribute("viewBox", `0 0 ${image.naturalWidth} ${image.naturalHeight}`);
    sheet.replaceChildren(...objects.map(({ label, box: [x1, y1, x2, y2] }) => shape("rect", {
      x: x1, y: y1, width: x2 - x1, height: y2 - y1, fill: "none",
      stroke: `hsl(${hue(model.classes, label)} 85% 45%)`, "stroke-width": 2,
      "vector-effect": "non-scaling-stroke",
    })));
  };
  image.onload = () => update(threshold);
  return { element, update };
}
