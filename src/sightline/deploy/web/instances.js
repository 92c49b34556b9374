// Objects with masks: from a graph's outputs to run-length codes, and from these to colours over
// the picture. What a watershed makes of maps comes from a server alone.

import { LEAST, above, hue, summary } from "./detect.js";
import { el } from "./elements.js";
import { back } from "./frame.js";
import { percent, t } from "./i18n.js";

export { summary };

const OPACITY = 0.55;  // at first

// The same as the server's, but for the counts of the codes, which are numbers here:
// {objects: [{label, score, box, area, mask: {size, counts}}], more}.
export function decode({ boxes, scores, labels, masks }, { classes }, frame) {
  const side = Math.round(Math.sqrt(masks.length / scores.length));
  const objects = scores.flatMap((score, i) => {
    if (score < LEAST) return [];
    const mask = masks.slice(i * side * side, (i + 1) * side * side);
    const drawn = paste(mask, side, back(frame, boxes.slice(4 * i, 4 * i + 4)), frame.size);
    return drawn.area ? [{ label: classes[labels[i]], score: Math.min(1, score), ...drawn }] : [];
  });
  return { objects, more: 0 };
}

// Enlarge a mask of side x side numbers within its box, decide at 0.5 and encode it; the same as
// sightline.data.pasting, where the arithmetic is told.
function paste(mask, side, [x1, y1, x2, y2], [height, width]) {
  const grown = (first, last) => {
    const middle = (first + last) / 2;
    const half = ((last - first) / 2) * ((side + 2) / side);
    return [Math.trunc(middle - half), Math.trunc(middle + half)];
  };
  const columns = places(grown(x1, x2), width, side + 2);
  const rows = places(grown(y1, y2), height, side + 2);
  const at = (y, x) => (
    y < 1 || x < 1 || y > side || x > side ? 0 : mask[(y - 1) * side + x - 1]
  );
  const counts = [];
  const box = [width, height, 0, 0];
  let area = 0;
  let end = 0;  // of what is encoded, down the columns
  let start = -1;  // of the run that goes on
  for (const [x, cx, dx] of columns) {
    for (const [y, cy, dy] of rows) {
      const upper = at(cy, cx) * (1 - dx) + at(cy, cx + 1) * dx;
      const lower = at(cy + 1, cx) * (1 - dx) + at(cy + 1, cx + 1) * dx;
      const place = x * height + y;
      if (!(upper * (1 - dy) + lower * dy > 0.5)) continue;
      area++;
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + 1);
      box[3] = Math.max(box[3], y + 1);
      if (start < 0 || place !== end) {
        if (start >= 0) counts.push(end - start);
        counts.push(place - end);
        start = place;
      }
      end = place + 1;
    }
  }
  if (start >= 0) counts.push(end - start);
  if (end < width * height) counts.push(width * height - end);
  return { box, area, mask: { size: [height, width], counts } };
}

// The pixels of a side of a box, each with the place before it and how far it lies beyond that.
function places([first, last], limit, count) {
  const pixels = Math.max(last - first + 1, 1);
  const made = [];
  for (let pixel = Math.max(first, 0); pixel < Math.min(last + 1, limit); pixel++) {
    const where = Math.min(count - 1, Math.max(0, (pixel - first + 0.5) * (count / pixels) - 0.5));
    made.push([pixel, Math.floor(where), where - Math.floor(where)]);
  }
  return made;
}

// The lengths of the runs of a code: COCO's text, five bits a letter, each less the last but one.
export function runs(counts) {
  if (Array.isArray(counts)) return counts;
  const lengths = [];
  for (let i = 0; i < counts.length;) {
    let [value, shift, bits] = [0, 0, 32];
    while (bits & 32) {
      bits = counts.charCodeAt(i++) - 48;
      value += (bits & 31) * 2 ** shift;
      shift += 5;
    }
    if (bits & 16) value -= 2 ** shift;
    lengths.push(lengths.length > 2 ? value + lengths.at(-2) : value);
  }
  return lengths;
}

function paint(pixels, { size: [height, width], counts }, [red, green, blue]) {
  let place = 0;
  runs(counts).forEach((length, i) => {
    const end = place + length;
    for (; i % 2 && place < end; place++) {
      const at = 4 * ((place % height) * width + Math.floor(place / height));
      pixels.set([red, green, blue, 255], at);
    }
    place = end;
  });
}

// Of a hue in degrees: that of hsl(hue 85% 45%).
function rgb(degrees) {
  const of = (n) => {
    const k = (n + degrees / 30) % 12;
    return Math.round(255 * (0.45 - 0.85 * 0.45 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [of(0), of(8), of(4)];
}

export function draw(answer, model, { picture }) {
  const sheet = el("canvas", { role: "img" });
  const image = el("img", { alt: "", src: picture });
  const count = el("p", { className: "count" });
  const list = el("ol", { className: "objects" });
  const none = el("p", { className: "soft" }, t("nothing"));
  const slider = el("input", { type: "range", min: "0", max: "1", step: "0.05", value: `${OPACITY}` });
  slider.oninput = () => { sheet.style.opacity = slider.value; };
  slider.oninput();
  const element = el("div", { className: "answer" },
    el("figure", { className: "boxes" }, image, sheet),
    el("label", { className: "opacity" }, el("span", {}, t("opacity")), slider), none, count, list);
  // One class: each object has a colour of its own; else that of its class.
  const tint = (object) => (model.classes.length > 1
    ? hue(model.classes, object.label)
    : Math.round(360 * ((answer.objects.indexOf(object) * 0.61803398875) % 1)));
  let threshold = 0;
  const update = (value) => {
    threshold = value;
    const objects = above(answer, value);
    none.hidden = objects.length > 0;
    count.hidden = !objects.length;
    count.textContent = t("count", { n: objects.length });
    sheet.setAttribute("aria-label", summary(answer, value));
    list.replaceChildren(...objects.map((object) => {
      const mark = el("span", { className: "mark", "aria-hidden": "true" });
      mark.style.background = `hsl(${tint(object)} 85% 45%)`;
      return el("li", {}, mark,
        el("span", { className: "label", title: object.label }, object.label),
        el("span", { className: "figure" }, percent(object.score)));
    }));
    if (!image.naturalWidth) return;
    [sheet.width, sheet.height] = [image.naturalWidth, image.naturalHeight];
    const context = sheet.getContext("2d");
    const drawn = context.createImageData(sheet.width, sheet.height);
    for (const object of objects.toReversed()) paint(drawn.data, object.mask, rgb(tint(object)));
    context.putImageData(drawn, 0, 0);
  };
  image.onload = () => update(threshold);
  return { element, update };
}
