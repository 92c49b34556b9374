// Drawings in a style: from a graph's pixels to a picture over the picture, with a slider between.

import { el } from "./elements.js";
import { percent, t } from "./i18n.js";

export const scored = false;  // a drawing has no score

let strength = 1;  // stays when the language or the picture changes
let sliders = 0;

// The same as the server's, {size, picture}, with a canvas in the place of the data URI.
export function decode({ picture }, { size: [height, width] }, frame) {
  const sheet = new OffscreenCanvas(width, height);
  const pixels = new ImageData(width, height);
  for (let i = 0, j = 0; i < picture.length; i += 3, j += 4) {
    pixels.data.set([picture[i], picture[i + 1], picture[i + 2], 255], j);
  }
  sheet.getContext("2d").putImageData(pixels, 0, 0);
  const [[h, w], [sy, sx], [oy, ox]] = [frame.size, frame.scale, frame.offset];
  const drawn = el("canvas", { height: h, width: w });
  const part = [Math.round(ox), Math.round(oy), Math.round(w * sx), Math.round(h * sy)];
  drawn.getContext("2d").drawImage(sheet, ...part, 0, 0, w, h);
  return { size: [h, w], picture: drawn.toDataURL("image/png") };
}

// One line, for who hears the page, and for the history.
export const summary = ({ size: [height, width] }) => t("drawn", { size: `${width} × ${height}` });

// The drawing over the picture: the slider blends the two.
export function draw(answer, model, { picture }) {
  const id = `strength-${sliders++}`;
  const over = el("img", { alt: summary(answer), src: answer.picture, className: "over" });
  const said = el("output", { for: id });
  const slider = el("input", { id, type: "range", min: 0, max: 1, step: 0.01, value: strength });
  const blend = () => {
    strength = slider.valueAsNumber;
    over.style.opacity = strength;
    said.textContent = percent(strength);
  };
  slider.addEventListener("input", blend);
  blend();
  const save = el("a", { href: answer.picture, download: "picture.png", className: "figure" }, t("save"));
  const element = el("div", { className: "answer" },
    el("figure", { className: "boxes" }, el("img", { alt: "", src: picture }), over),
    el("div", { className: "threshold opacity" }, el("label", { for: id }, t("strength")), said, slider),
    save);
  return { element, update: () => {} };
}
