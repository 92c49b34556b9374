// Counts on the page.

import { el } from "./elements.js";

export function decode(outputs, about, frame, top) {
  const pixels = frame.size[0] * frame.size[1];
  return { count: Math.round(Math.min(1, Math.max(0, outputs.share[0])) * pixels), pixels };
}

export const summary = ({ count, pixels }) => `${count} of ${pixels}`;

export function draw(answer) {
  const element = el("p", { className: "count" }, summary(answer));
  return { element, update: () => {} };
}
