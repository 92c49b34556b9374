// From the bytes of a file to RGB pixels, as the server's decoder gives them: turned as the camera
// says, colours as they are written, what is transparent on white.

import { Problem } from "./problem.js";

const MOST = 50e6;  // pixels; the resize holds several floats of each

export async function decode(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none",
    });
  } catch {
    throw new Problem("bad-image");
  }
  const { width, height } = bitmap;
  if (width * height > MOST) throw new Problem("too-large", `${width} × ${height}`);
  // Without willReadFrequently the pixels would pass through a graphics processor.
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return { rgb, width, height };
}
