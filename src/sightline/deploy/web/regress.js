// Numbers: from a graph's value and reach to the number with its interval on a line.

import { el } from "./elements.js";
import { number, t } from "./i18n.js";

export const scored = false;  // a number has no score: a threshold would change nothing

// The same as the server's: {name, value, low, high}.
export function decode({ value: [value], reach: [reach] }, { classes }) {
  const half = Math.abs(reach);
  return { name: classes[0] ?? "", value, low: value - half, high: value + half };
}

// One line, for who hears the page, and for the history.
export const summary = ({ name, value, low, high }) =>
  t("numberSaid", { name, value: number(value), low: number(low), high: number(high) });

// The number, large, and its interval.
export function draw(answer) {
  const { name, value, low, high } = answer;
  const element = el("div", { className: "answer" },
    el("p", { className: "winner" }, el("strong", {}, number(value)), " ",
      el("span", { className: "score" }, name)),
    el("p", { className: "soft" }, t("between", { low: number(low), high: number(high) })));
  return { element, update: () => {} };
}
