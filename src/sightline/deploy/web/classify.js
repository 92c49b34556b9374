// Classification: from a graph's outputs to an answer, and from that to what one sees. A task is
// one module like this, under the name that models give as their task.

import { el, sharpen } from "./elements.js";
import { percent, number, t } from "./i18n.js";

const LONG = 18;  // letters, from which a name is set smaller

// The same as the server's: {label, score, top, neighbours}.
export function decode(outputs, { classes }, frame, top) {
  const scores = outputs.probabilities.map((score) => Math.min(1, Math.max(0, score)));
  const [winner] = outputs.label;
  // Of equal scores the graph's own choice stands first.
  const order = scores.map((_, i) => i)
    .sort((a, b) => scores[b] - scores[a] || (a !== winner) - (b !== winner));
  const named = (i) => ({ label: classes[i], score: scores[i] });
  return {
    ...named(winner),
    top: order.slice(0, top).map(named),
    neighbours: outputs.neighbours?.map((index, i) => ({
      index, label: classes[outputs.neighbour_labels[i]],
      distance: outputs.distances[i], vote: outputs.votes[i],
    })) ?? null,
  };
}

export const rejected = (answer, threshold) => answer.score < threshold;

// One line, for who hears the page, and for the history.
export function summary(answer, threshold) {
  if (rejected(answer, threshold)) return t("none");
  return `${answer.label}, ${percent(answer.score)}`;
}

// An element, and what changes it when the threshold moves.
export function draw(answer, model, { neighbour }) {
  const label = el("strong");
  const score = el("span", { className: "score" });
  const guess = el("p", { className: "soft guess" });
  const bars = el("ol", { className: "bars" }, ...answer.top.map(bar));
  const element = el("div", { className: "answer" },
    el("p", { className: "winner" }, label, " ", score), guess, bars);
  if (answer.neighbours) element.append(...near(answer, model, neighbour));
  const update = (threshold) => {
    const none = rejected(answer, threshold);
    element.classList.toggle("none", none);
    label.classList.toggle("long", !none && answer.label.length > LONG);
    label.textContent = none ? t("none") : answer.label;
    score.textContent = none ? "" : percent(answer.score);
    guess.hidden = !none;
    guess.textContent = t("guess", { label: answer.label, score: percent(answer.score) });
    bars.style.setProperty("--threshold", threshold);
    bars.classList.toggle("marked", threshold > 0);
  };
  return { element, update };
}

function bar({ label, score }, i) {
  const fill = el("span", { className: "fill" });
  fill.style.width = `${100 * score}%`;
  return el("li", { className: i ? "" : "best" },
    el("span", { className: "label", title: label }, label),
    el("span", { className: "bar", "aria-hidden": "true" }, fill),
    el("span", { className: "figure" }, percent(score)));
}

function near(answer, model, neighbour) {
  const figures = answer.neighbours.map(({ index, label, distance, vote }) => {
    const picture = el("img", { alt: t("neighbourAlt", { label, index }) });
    const [height, width] = model.size;
    picture.style.aspectRatio = `${width} / ${height}`;
    neighbour(index).then(
      (blob) => {
        picture.onload = (event) => {
          sharpen(event);
          URL.revokeObjectURL(picture.src);
        };
        picture.src = URL.createObjectURL(blob);
      },
      () => picture.replaceWith(el("span", { className: "missing soft" }, t("noPicture"))),
    );
    return el("li", { className: label === answer.label ? "same" : "" },
      el("figure", {}, picture,
        el("figcaption", {}, el("b", { title: label }, label),
          el("span", {}, t("distance", { distance: number(distance) })),
          el("span", {}, t("vote", { vote: percent(vote) })))));
  });
  return [
    el("h4", {}, t("neighbours")),
    el("ol", { className: "near" }, ...figures),
  ];
}
