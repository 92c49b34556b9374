// The engine that answers in the browser: the exported graphs in ONNX Runtime Web. One thread, so
// that any static host will do: more would need headers for cross-origin isolation.

import { frameOf } from "./frame.js";
import { decode } from "./pixels.js";
import { Problem } from "./problem.js";

const address = (path) => new URL(path, document.baseURI).href;

export class Engine {
  constructor() {
    this.sessions = new Map();
    this.ready = new Set();
    this.sheets = new Map();
    // Without a network from the second visit on, where the browser allows it (https, localhost).
    navigator.serviceWorker?.register("sw.js").catch(() => {});
  }

  async models() {
    this.listed = new Map((await fetched("models.json")).models.map((m) => [m.name, m]));
    return [...this.listed.values()];
  }

  // Load a model before it is asked.
  async warm(name) {
    await this.#sessions(name);
  }

  loaded(name) {
    return this.ready.has(name);
  }

  async predict(blob, { model, top }) {
    const about = this.listed.get(model);
    // The models that stand side by side are asked about the same picture.
    if (this.last?.blob !== blob) this.last = { blob, pixels: decode(blob) };
    const [{ rgb, width, height }, { ort, resize, graph }, task] = await Promise.all([
      this.last.pixels, this.#sessions(model), import(`./${about.task}.js`),
    ]);
    const image = new ort.Tensor("uint8", rgb, [height, width, 3]);
    const { images } = await resize.run({ image });
    const outputs = await graph.run({ images });
    const arrays = Object.entries(outputs).map(([key, value]) => [key, Array.from(value.data, Number)]);
    const frame = frameOf([height, width], about.size, about.resize);
    return task.decode(Object.fromEntries(arrays), about, frame, top);
  }

  // Pictures that a model makes of noise: its task asks the graph as often as it needs to.
  async generate({ model, ...wish }) {
    const about = this.listed.get(model);
    const [{ ort, graph }, task] = await Promise.all([
      this.#sessions(model), import(`./${about.task}.js`),
    ]);
    const run = async (given) => {
      const feeds = Object.entries(given).map(([name, { type, data, dims }]) =>
        [name, new ort.Tensor(type, data, dims)]);
      const outputs = await graph.run(Object.fromEntries(feeds));
      return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data]));
    };
    const made = await task.make(run, about, wish);
    return made.map((rgba) => task.answered(rgba, about.size));
  }

  // A training picture, as a Blob, cut out of its sheet.
  async neighbour(model, index) {
    const { folder, size: [height, width], sheets: { columns, rows } } = this.listed.get(model);
    const at = index % (columns * rows);
    const sheet = await this.#sheet(`${folder}/neighbours-${Math.floor(index / (columns * rows))}.png`);
    const canvas = new OffscreenCanvas(width, height);
    const [x, y] = [(at % columns) * width, Math.floor(at / columns) * height];
    canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, width, height);
    return canvas.convertToBlob();
  }

  #sheet(path) {
    return kept(this.sheets, path, async () => createImageBitmap(await (await get(path)).blob()));
  }

  #sessions(name) {
    return kept(this.sessions, name, async () => {
      const { folder, compares } = this.listed.get(name);
      const ort = await runtime();
      const open = (file, level) =>
        ort.InferenceSession.create(address(`${folder}/${file}`), {
          executionProviders: ["wasm"], graphOptimizationLevel: level,
        });
      // Folding would keep bytes of training images as floats, four times as large.
      const graph = await open("model.onnx", compares ? "disabled" : "all");
      const resize = await open("preprocess.onnx", "all");
      this.ready.add(name);
      return { ort, graph, resize };
    });
  }
}

let loading;

function runtime() {
  loading ??= import("./ort/ort.wasm.min.mjs").then((ort) => {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = new URL("ort/", import.meta.url).href;
    return ort;
  });
  return loading;
}

async function get(path) {
  let answer;
  try {
    answer = await fetch(address(path));
  } catch {
    throw new Problem("unreachable");
  }
  if (!answer.ok) throw new Problem("failed", `${path}: HTTP ${answer.status}`);
  return answer;
}

const fetched = async (path) => (await get(path)).json();

// A failure is not kept: the next one to ask tries again.
function kept(map, key, make) {
  if (!map.has(key)) {
    const coming = make();
    coming.catch(() => map.delete(key));
    map.set(key, coming);
  }
  return map.get(key);
}
