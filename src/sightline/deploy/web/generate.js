// Pictures made of noise: a form in the place of a picture, and the sampler outside of the graph.

import { el, sharpen } from "./elements.js";
import { explain, t } from "./i18n.js";

export const scored = false;  // a made picture has no score
export const makes = true;  // it is asked for pictures, not about one

const MOST = 64, MOST_STEPS = 200;
const KINDS = { heun: 2, euler: 1 };
const last = new Map();  // what was wished of a model, and made: stays when the language changes

// A hash of 32 bits and normal numbers, as models/generate/noise.py has them: a seed gives the same
// pictures everywhere.
function hashed(given) {
  let x = Math.imul(given ^ (given >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

export function normal(n, count, seed) {
  const out = new Float32Array(n * count);
  for (let i = 0; i < n; i++) {
    const key = hashed((hashed((i + 0x9e3779b9) >>> 0) ^ hashed(seed >>> 0)) >>> 0);
    const number = (place) =>
      (hashed((hashed((place + key) >>> 0) ^ key) >>> 0) + 0.5) / 2 ** 32;
    for (let j = 0; j < count; j += 2) {
      const radius = Math.sqrt(-2 * Math.log(number(j))), angle = 2 * Math.PI * number(j + 1);
      out[i * count + j] = radius * Math.cos(angle);
      if (j + 1 < count) out[i * count + j + 1] = radius * Math.sin(angle);
    }
  }
  return out;
}

// Make pictures with a graph: `run` maps { name: { type, data, dims } } to { name: data }.
// Gives RGBA pixels, one array a picture.
export async function make(run, { asks, classes, size: [height, width], mode }, wish) {
  const known = asks.classes ? classes : [];
  const n = wish.n ?? 16;
  const labels = Array.from({ length: n }, (_, i) =>
    wish.class == null ? i % Math.max(known.length, 1) : known.indexOf(wish.class));
  const count = asks.latent.reduce((a, b) => a * b, 1);
  const dims = (rows) => [rows, ...asks.latent];
  const whole = (values) => ({ type: "int64", data: BigInt64Array.from(values, BigInt), dims: [values.length] });
  const labelled = (values) => (known.length ? { label: whole(values) } : {});
  const noise = normal(n, count, wish.seed ?? 0);
  const channels = mode === "L" ? 1 : 3, pixels = height * width;
  if (asks.kind === "decoder") {
    const given = { noise: { type: "float32", data: noise, dims: dims(n) }, ...labelled(labels) };
    const { made } = await run(given);
    return pictures(n, pixels, channels, (i, p, c) => made[(i * pixels + p) * channels + c]);
  }
  const steps = wish.steps ?? asks.steps, sampler = wish.sampler ?? asks.sampler;
  const guidance = wish.guidance ?? asks.guidance;
  const guided = known.length > 0 && guidance !== 1;
  const velocity = async (x, time) => {
    const rows = guided ? 2 * n : n;
    const data = guided ? Float32Array.from({ length: 2 * x.length }, (_, i) => x[i % x.length]) : x;
    const both = guided ? [...labels, ...labels.map(() => known.length)] : labels;
    const { velocity: v } = await run({
      points: { type: "float32", data, dims: dims(rows) },
      time: { type: "float32", data: new Float32Array(rows).fill(time), dims: [rows] },
      ...labelled(both),
    });
    return guided ? x.map((_, i) => v[x.length + i] + guidance * (v[i] - v[x.length + i])) : v;
  };
  const h = 1 / steps;
  let x = noise;
  for (let i = 0; i < steps; i++) {
    let v = await velocity(x, i * h);
    if (KINDS[sampler] === 2) {
      const there = await velocity(x.map((value, j) => value + h * v[j]), (i + 1) * h);
      v = there.map((value, j) => (v[j] + value) / 2);
    }
    x = x.map((value, j) => value + h * v[j]);
  }
  const [centre, spread] = asks.pixels;
  return pictures(n, pixels, channels, (i, p, c) =>
    Math.round((x[(i * channels + c) * pixels + p] * spread + centre) * 255));
}

function pictures(n, pixels, channels, value) {
  return Array.from({ length: n }, (_, i) => {
    const rgba = new Uint8ClampedArray(4 * pixels).fill(255);
    for (let p = 0; p < pixels; p++) {
      for (let c = 0; c < 3; c++) rgba[4 * p + c] = value(i, p, channels === 1 ? 0 : c);
    }
    return rgba;
  });
}

// What the server answers with: { size, picture }, the picture as a data URI.
export function answered(rgba, [height, width]) {
  const sheet = el("canvas", { height, width });
  sheet.getContext("2d").putImageData(new ImageData(rgba, width, height), 0, 0);
  return { size: [height, width], picture: sheet.toDataURL("image/png") };
}

// A number to be asked for, or null where the field is empty.
const field = (id, label, given) => {
  const input = el("input", { id, type: "number", ...given });
  return [el("label", { for: id }, label, input), () => (input.value === "" ? null : input.valueAsNumber)];
};

// The form of a model, and under it what it has made.
export function form(model, engine) {
  const { asks, classes, name } = model;
  const before = last.get(name) ?? { wish: {}, made: [] };
  const id = `make-${name}`;
  const [count, n] = field(`${id}-n`, t("pictures"), { min: 1, max: MOST, value: before.wish.n ?? 16, required: true });
  const [seeded, seed] = field(`${id}-seed`, t("seed"), { min: 0, max: 2 ** 32 - 1, value: before.wish.seed ?? 0, required: true });
  const flows = asks.kind === "flow";
  const [stepped, steps] = field(`${id}-steps`, t("steps"), { min: 1, max: MOST_STEPS, value: before.wish.steps ?? asks.steps ?? "" });
  const choice = el("select", { id: `${id}-class` }, el("option", { value: "" }, t("eachClass")),
    ...classes.map((label, i) => el("option", { value: i }, label)));
  if (before.wish.class != null) choice.value = classes.indexOf(before.wish.class);
  const button = el("button", { type: "submit", className: "main" }, t("make"));
  const said = el("p", { className: "soft working", role: "status", hidden: true }, t("making"));
  const grid = el("div", { className: "made" });
  const element = el("form", { className: "make" },
    count, seeded, asks.classes ? el("label", { for: choice.id }, t("ofClass"), choice) : null,
    flows ? stepped : null, button, said, grid);
  const show = (made) => grid.replaceChildren(...made.map(({ picture }, i) => {
    const shown = el("img", { src: picture, alt: t("madePicture", { n: i + 1 }), onload: sharpen });
    return el("a", { href: picture, download: `${name}-${i}.png`, title: t("save") }, shown);
  }));
  show(before.made);
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wish = { n: n(), seed: seed() };
    if (choice.value !== "") wish.class = classes[choice.value];
    if (flows && steps() != null) wish.steps = steps();
    button.disabled = true;
    said.hidden = false;
    said.className = "soft working";
    said.textContent = t("making");
    try {
      const from = performance.now();
      const made = await engine.generate({ model: name, ...wish });
      last.set(name, { wish, made });
      show(made);
      said.className = "soft";
      said.textContent = t("took", { ms: Math.max(1, Math.round(performance.now() - from)) });
    } catch (problem) {
      said.className = "trouble";
      said.textContent = explain(problem).join(" ");
    }
    button.disabled = false;
  });
  return element;
}

// One line, for who hears the page.
export const summary = ({ size: [height, width] }) => t("drawn", { size: `${width} × ${height}` });
