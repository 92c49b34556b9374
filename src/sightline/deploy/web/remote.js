// The engine that asks a server: the API under v1/, relative to the page, so that it also works
// behind a proxy that serves it under a prefix.

import { Problem } from "./problem.js";

const address = (path) => new URL(path, document.baseURI).href;

export class Engine {
  constructor() {
    this.key = sessionStorage.getItem("sightline-key") ?? "";
    this.pictures = new Map();
  }

  // Of a server that lets in only who has a key; forgotten with the tab.
  setKey(key) {
    this.key = key;
    sessionStorage.setItem("sightline-key", key);
  }

  async models() {
    return (await (await this.#ask("v1/models")).json()).models;
  }

  async predict(blob, { model, top }) {
    const answer = await this.#ask(this.request({ model, top }), {
      method: "POST", body: blob, headers: { "Content-Type": contentType(blob) },
    });
    const [result] = (await answer.json()).results;
    if (result.error) throw Problem.fromDocument(result.error);
    return result;
  }

  // Pictures that a model makes of noise.
  async generate(wish) {
    const answer = await this.#ask("v1/generate", {
      method: "POST", body: JSON.stringify(wish), headers: { "Content-Type": "application/json" },
    });
    return (await answer.json()).results;
  }

  // A training picture, as a Blob.
  neighbour(model, index) {
    const path = `v1/models/${encodeURIComponent(model)}/neighbours/${index}`;
    if (!this.pictures.has(path)) {
      const coming = this.#ask(path).then((answer) => answer.blob());
      coming.catch(() => this.pictures.delete(path));
      this.pictures.set(path, coming);
    }
    return this.pictures.get(path);
  }

  request(asked) {
    return address(`v1/predict?${new URLSearchParams(asked)}`);
  }

  async #ask(path, given = {}) {
    const headers = { ...given.headers };
    if (this.key) headers.Authorization = `Bearer ${this.key}`;
    let answer;
    try {
      answer = await fetch(address(path), { ...given, headers });
    } catch {
      throw new Problem("unreachable");
    }
    if (!answer.ok) throw await Problem.fromResponse(answer);
    return answer;
  }
}

export const contentType = (blob) =>
  blob.type.startsWith("image/") ? blob.type : "application/octet-stream";
