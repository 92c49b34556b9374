// What was looked at since the page was opened. In memory only: nothing is left behind.

import { byId, el, sharpen } from "./elements.js";
import { t } from "./i18n.js";

const MOST = 40;

export class History {
  // show(entry) is called when one is chosen; caption(entry) gives the line under it.
  constructor(show, caption) {
    Object.assign(this, { show, caption, entries: [] });
  }

  // Newest first. An entry keeps its answers by model, so seeing it again asks nobody.
  add(blob, name) {
    const entry = { blob, name, url: URL.createObjectURL(blob), answers: new Map() };
    const picture = el("img", { alt: "", onload: sharpen, src: entry.url });
    picture.onerror = () => picture.classList.add("unseeable");
    entry.words = el("span");
    entry.button = el("button", { type: "button", onclick: () => this.show(entry) },
      picture, entry.words);
    this.entries.unshift(entry);
    byId("history").querySelector("ol").prepend(el("li", {}, entry.button));
    for (const old of this.entries.splice(MOST)) {
      URL.revokeObjectURL(old.url);
      old.button.parentElement.remove();
    }
    return entry;
  }

  // Elements stay, so that the keyboard's focus does.
  draw(current) {
    byId("history").hidden = this.entries.length < 2;
    for (const entry of this.entries) {
      const words = this.caption(entry);
      entry.words.textContent = words;
      entry.button.setAttribute("aria-label", `${t("again", { name: entry.name })}: ${words}`);
      entry.button.setAttribute("aria-current", String(entry === current));
    }
  }
}
