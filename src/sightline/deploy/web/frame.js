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

// A box, [x1, y1, x2, y2] in model pixels, in the picture's, cut to the picture.
export function out({ size: [h, w], scale: [sy, sx], offset: [oy, ox] }, [x1, y1, x2, y2]) {
  const x = (value) => Math.min(w, Math.max(0, (value - ox) / sx));
  const y = (value) => Math.min(h, Math.max(0, (value - oy) / sy));
  return [x(x1), y(y1), x(x2), y(y2)];
}

// The pixels of the model's image at which those of the picture's side lie; -1: beyond it. Places
// are added up one by one, as Pillow does, so that both round alike.
function places(length, scale, offset, whole) {
  const at = new Int32Array(length);
  for (let i = 0, x = offset + scale * 0.5; i < length; i++, x += scale) {
    at[i] = x < 0 || Math.floor(x) >= whole ? -1 : Math.floor(x);
  }
  return at;
}

// Values of the model's pixels, by rows, at the picture's size: each the nearest, 0 beyond them.
export function mapOut({ size: [h, w], scale: [sy, sx], offset: [oy, ox] }, values, [height, width]) {
  const rows = places(h, sy, oy, height);
  const columns = places(w, sx, ox, width);
  const moved = new Int32Array(h * w);
  for (let y = 0, i = 0; y < h; y++) {
    for (let x = 0; x < w; x++, i++) {
      if (rows[y] >= 0 && columns[x] >= 0) moved[i] = values[rows[y] * width + columns[x]];
    }
  }
  return moved;
}
