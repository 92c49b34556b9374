// Anomalies: from a graph's scores to a map of heat over the picture, cut by a threshold.

import { el } from "./elements.js";
import { percent, t } from "./i18n.js";

export const scored = false;  // it has a threshold of its own, at each answer

export const ODD = 0.5;  // where the run's threshold lies
const RANGE = 0.3;  // how far from the threshold the tint fades, as the drawings of Sightline have it
let limit = ODD;  // stays when the language or the picture changes
let sliders = 0;

// The same as the server's, {score, anomaly, share, size, heat}, with a canvas in the place of the PNG.
export function decode({ score, heat }, { size: [height, width] }, frame) {
  const value = Math.min(1, Math.max(0, score[0] ?? score));
  const said = { score: value, anomaly: value >= ODD, share: null, size: frame.size, heat: null };
  if (!heat) return said;
  const [[h, w], [sy, sx], [oy, ox]] = [frame.size, frame.scale, frame.offset];
  const [left, top] = [Math.max(0, Math.round(ox)), Math.max(0, Math.round(oy))];
  const right = Math.min(width, Math.round(ox + w * sx));
  const bottom = Math.min(height, Math.round(oy + h * sy));
  const map = el("canvas", { width: right - left, height: bottom - top });
  const pixels = new ImageData(map.width, map.height);
  let over = 0;
  for (let y = top, j = 0; y < bottom; y++) {
    for (let x = left; x < right; x++, j += 4) {
      const one = heat[y * width + x];
      over += one >= ODD;
      pixels.data.fill(Math.round(255 * one), j, j + 3);
      pixels.data[j + 3] = 255;
    }
  }
  map.getContext("2d").putImageData(pixels, 0, 0);
  return { ...said, share: over / (map.width * map.height), heat: map.toDataURL("image/png") };
}

// One line, for who hears the page, and for the history.
export function summary({ score }) {
  return t(score >= limit ? "odd" : "asItShould", { score: percent(score) });
}

// The tint of a score beside a threshold: red, green, blue and opacity, up to 255.
export function tint(score, at) {
  const strength = Math.min(1, Math.max(0, (score - at + RANGE) / (2 * RANGE)));
  if (!strength) return [0, 0, 0, 0];
  const reached = score >= at ? 1 : 0.45;  // what stays below the threshold is paler
  return [255 - 25 * strength, 210 - 210 * strength, 30 * strength, 255 * 0.75 * strength * reached];
}

// The picture under its heat, and the slider of the threshold.
export function draw(answer, model, { picture }) {
  const id = `limit-${sliders++}`;
  const verdict = el("strong");
  const sheet = el("canvas", { className: "over", "aria-hidden": "true" });
  const said = el("output", { for: id });
  const slider = el("input", { id, type: "range", min: 0, max: 1, step: 0.01, value: limit });
  let scores = null;  // of the map's pixels, once it is decoded
  const paint = () => {
    limit = slider.valueAsNumber;
    said.textContent = limit.toFixed(2);
    verdict.textContent = t(answer.score >= limit ? "oddWord" : "goodWord");
    element.classList.toggle("none", answer.score < limit);
    if (!scores) return;
    const pixels = new ImageData(sheet.width, sheet.height);
    scores.forEach((score, i) => pixels.data.set(tint(score, limit), 4 * i));
    sheet.getContext("2d").putImageData(pixels, 0, 0);
  };
  const element = el("div", { className: "answer" },
    el("p", { className: "winner" }, verdict, " ",
      el("span", { className: "score" }, answer.score.toFixed(3))),
    answer.heat && el("figure", { className: "boxes" }, el("img", { alt: "", src: picture }), sheet),
    el("div", { className: "threshold opacity" },
      el("label", { for: id }, t("limit")), said, slider));
  slider.addEventListener("input", paint);
  if (answer.heat) {
    const map = new Image();
    map.onload = () => {
      [sheet.width, sheet.height] = [map.naturalWidth, map.naturalHeight];
      const context = sheet.getContext("2d");
      context.drawImage(map, 0, 0);
      const { data } = context.getImageData(0, 0, sheet.width, sheet.height);
      scores = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i] / 255);
      paint();
    };
    map.src = answer.heat;
  }
  paint();
  return { element, update: () => {} };
}
