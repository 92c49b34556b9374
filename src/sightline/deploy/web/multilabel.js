// Several labels: from a graph's probabilities to the labels that reach their threshold, with bars.

import { el } from "./elements.js";
import { percent, t } from "./i18n.js";

const HALF = 0.5;  // where the run has no thresholds
const SAID = 4;  // labels in one line

// The same as the server's: {labels, top}, each [{label, score}].
export function decode({ probabilities }, { classes, thresholds }, frame, top) {
  const scores = Array.from(probabilities, (p) => Math.min(1, Math.max(0, p)));
  const limits = thresholds?.length ? thresholds : scores.map(() => HALF);
  const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a] || a - b);
  const named = (i) => ({ label: classes[i], score: scores[i] });
  return {
    labels: order.filter((i) => scores[i] >= limits[i]).map(named),
    top: order.slice(0, top).map(named),
  };
}

// What is told: by the run's own thresholds, or by one for all where the slider is moved.
const told = ({ labels, top }, threshold) => {
  if (!threshold) return labels;
  const known = new Map([...labels, ...top].map((one) => [one.label, one]));
  return [...known.values()].filter(({ score }) => score >= threshold)
    .sort((a, b) => b.score - a.score);
};

// One line, for who hears the page, and for the history.
export function summary(answer, threshold) {
  const said = told(answer, threshold).slice(0, SAID);
  return said.map(({ label, score }) => `${label} ${percent(score)}`).join(", ") || t("noLabel");
}

// An element, and what changes it when the threshold moves.
export function draw(answer) {
  const words = el("p", { className: "winner" });
  const shown = [...new Map([...answer.labels, ...answer.top].map((one) => [one.label, one])).values()]
    .sort((a, b) => b.score - a.score);
  const lines = shown.map(({ label, score }) => {
    const fill = el("span", { className: "fill" });
    fill.style.width = `${100 * score}%`;
    return el("li", {}, el("span", { className: "label", title: label }, label),
      el("span", { className: "bar", "aria-hidden": "true" }, fill),
      el("span", { className: "figure" }, percent(score)));
  });
  const bars = el("ol", { className: "bars" }, ...lines);
  const element = el("div", { className: "answer" }, words, bars);
  const update = (threshold) => {
    const said = told(answer, threshold);
    const names = new Set(said.map(({ label }) => label));
    words.textContent = said.map(({ label }) => label).join(", ") || t("noLabel");
    element.classList.toggle("none", !said.length);
    lines.forEach((line, i) => line.classList.toggle("best", names.has(shown[i].label)));
    bars.style.setProperty("--threshold", threshold);
    bars.classList.toggle("marked", threshold > 0);
  };
  update(0);
  return { element, update };
}
