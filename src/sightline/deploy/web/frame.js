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
    const scale = [height / kept[0], width / kept[1]];
    return { size, scale, offset: [-middle(h, kept[0]) * scale[0], -middle(w, kept[1]) * scale[1]] };
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
