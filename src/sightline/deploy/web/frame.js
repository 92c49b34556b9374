// How a picture comes to a model's size, and the way back; the same as sightline.types.Frame. A
// point x of the picture stands at x * scale + offset of the model's image; [vertical, horizontal].

const MARGIN = 32;  // as sightline.data.images has it
const middle = (whole, part) => (whole - part) / 2;

// Halves to the even number, as Python rounds.
function round(x) {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return Math.round(x);
  return below % 2 ? below + 1 : below;
}

export function frameOf([h, w], [height, width], how) {
  const size = [h, w];
  if (how === "imagenet" || how === "imagenet-bilinear") {
    const [th, tw] = [height + MARGIN, width + MARGIN];
    const scaled = th * w >= tw * h
      ? [th, Math.floor((th * w) / h)]
      : [Math.floor((tw * h) / w), tw];
    return {
      size, scale: [scaled[0] / h, scaled[1] / w],
      offset: [-round(middle(scaled[0], height)), -round(middle(scaled[1], width))],
    };
  }
  if (h === height && w === width) return { size, scale: [1, 1], offset: [0, 0] };
  if (how === "crop") {
    const kept = [Math.min(h, (w * height) / width), Math.min(w, (h * width) / height)];
    const [top, left] = [middle(h, kept[0]), middle(w, kept[1])];
    // In the library's own order, so that both round alike.
    const scale = [height / (top + kept[0] - top), width / (left + kept[1] - left)];
    return { size, scale, offset: [-top * scale[0], -left * scale[1]] };
  }
  if (how === "pad") {
    const part = w / h > width / height
      ? [Math.max(1, round((h / w) * width)), width]
      : [height, Math.max(1, round((w / h) * height))];
    return {
      size, scale: [part[0] / h, part[1] / w],
      offset: [round(middle(height, part[0])), round(middle(width, part[1]))],
    };
  }
  return { size, scale: [height / h, width / w], offset: [0, 0] };
}

// A box, [x1, y1, x2, y2] in model pixels, in the picture's, perhaps reaching beyond it.
export function back({ scale: [sy, sx], offset: [oy, ox] }, [x1, y1, x2, y2]) {
  return [(x1 - ox) / sx, (y1 - oy) / sy, (x2 - ox) / sx, (y2 - oy) / sy];
}

// The same, cut to the picture.
export function out(frame, box) {
  const [h, w] = frame.size;
  return back(frame, box).map((value, i) => Math.min(i % 2 ? h : w, Math.max(0, value)));
}

// For each pixel of a side that is resized from `from` to `to` pixels: the first one that it is
// made of, and the weights of that and the next ones, by Pillow's bilinear filter.
function weights(from, to) {
  const step = from / to;
  const reach = Math.max(step, 1);
  return Array.from({ length: to }, (_, i) => {
    const middle = (i + 0.5) * step;
    const first = Math.max(Math.trunc(middle - reach + 0.5), 0);
    const end = Math.min(Math.trunc(middle + reach + 0.5), from);
    const parts = [];
    for (let k = first; k < end; k++) {
      parts.push(Math.max(1 - Math.abs((k - middle + 0.5) / reach), 0));
    }
    const sum = parts.reduce((all, part) => all + part, 0);
    return [first, parts.map((part) => part / sum)];
  });
}

// The best class of each pixel of the picture, by rows: scores (classes by rows of the model's
// pixels) are brought to the picture's size, and then compared; of equal ones the first is best.
export function classesOut({ size: [h, w], scale, offset }, scores, classes, [height, width]) {
  const [top, left] = offset.map(Math.round);
  const [high, wide] = [Math.round(h * scale[0]), Math.round(w * scale[1])];
  const [rows, columns] = [weights(high, h), weights(wide, w)];
  const best = new Float32Array(h * w).fill(-Infinity);
  const decided = new Int32Array(h * w);
  const across = new Float32Array(high * w);
  for (let c = 0; c < classes; c++) {
    for (let y = 0, i = 0; y < high; y++) {
      const start = (c * height + top + y) * width + left;
      for (let x = 0; x < w; x++, i++) {
        const [first, parts] = columns[x];
        let sum = 0;
        for (let k = 0; k < parts.length; k++) sum += scores[start + first + k] * parts[k];
        across[i] = sum;
      }
    }
    for (let y = 0, i = 0; y < h; y++) {
      const [first, parts] = rows[y];
      for (let x = 0; x < w; x++, i++) {
        let sum = 0;
        for (let k = 0; k < parts.length; k++) sum += across[(first + k) * w + x] * parts[k];
        const value = Math.fround(sum);
        if (value > best[i]) [best[i], decided[i]] = [value, c];
      }
    }
  }
  return decided;
}
