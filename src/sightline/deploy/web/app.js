// The page: what was given goes to the engine, what the engine says goes on cards.

import * as camera from "./camera.js";
import { byId, el, sharpen } from "./elements.js";
import { History } from "./history.js";
import { explain, nameOf, number, percent, t, toggle, translate } from "./i18n.js";
import { Problem } from "./problem.js";
import { curl, urllib } from "./snippets.js";

const TOP = 5;  // classes with a bar
const FINAL = ["bad-image", "too-large", "unsupported-media-type"];  // of the picture itself
const AGAIN = 2000;  // ms, after which a server that is still loading is asked again
const MEASURED = { test: "measuredTest", val: "measuredVal" };
const AT_FIRST = 3;  // models asked unless one says otherwise

const kind = document.querySelector("meta[name=engine]").content;
const { Engine } = await import(`./${kind}.js`);
const engine = new Engine();
const tasks = new Map();
const history = new History(show, caption);
const chosen = new Set();
let models = [];
let shown = null;  // the entry of the history that is looked at
let moving = [];  // what follows the threshold

const threshold = () => byId("threshold").valueAsNumber;
const asked = () => models.filter(({ name }) => chosen.has(name));
const taskOf = (model) => tasks.get(model.task);

// ---- models

async function start() {
  byId("key").hidden = byId("trouble").hidden = true;
  try {
    models = await engine.models();
    if (!models.length) throw new Problem("unavailable");
    for (const { task } of models) tasks.set(task, await import(`./${task}.js`));
  } catch (error) {
    const problem = understood(error);
    byId("key").hidden = problem.kind !== "unauthorized";
    if (problem.kind === "unavailable") setTimeout(start, AGAIN);
    if (problem.kind === "unauthorized") byId("key-field").focus();
    else complain(explain(problem).join(" "));
    return;
  }
  models.slice(0, models.length > AT_FIRST ? 1 : AT_FIRST).forEach(({ name }) => chosen.add(name));
  byId("models").hidden = models.length < 2;
  byId("models").querySelector(".chips").replaceChildren(...models.map(chip));
  for (const { name } of asked()) engine.warm?.(name).catch(() => {});
  look();
}

function chip({ name }) {
  const box = el("input", { type: "checkbox", checked: chosen.has(name) });
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(name);
    else chosen.delete(name);
    look();
  });
  return el("label", { className: "chip" }, box, el("span", {}, name));
}

// ---- pictures in

function take(files) {
  const pictures = [...files].filter(({ type }) => !type || type.startsWith("image/"));
  complain(files.length && !pictures.length ? t("notPicture") : "");
  const entries = pictures.reverse().map((file) => history.add(file, file.name || "picture.png"));
  if (entries.length) show(entries.at(-1));
}

function show(entry) {
  shown = entry;
  const picture = byId("shown");
  picture.hidden = false;
  byId("unshown").hidden = true;
  picture.alt = entry.name;
  picture.src = entry.url;
  look();
}

byId("shown").onload = sharpen;
byId("shown").onerror = ({ target }) => {
  target.hidden = true;
  byId("unshown").hidden = false;
  byId("unshown").textContent = t("noPreview", { name: shown.name });
};

for (const [button, input] of [["choose", "file"], ["photograph", "capture"]]) {
  byId(button).onclick = () => byId(input).click();
  byId(input).onchange = ({ target }) => {
    take(target.files);
    target.value = "";  // so that the same file can be chosen again
  };
}

byId("webcam").onclick = async () => {
  cameraTrouble("");
  try {
    const blob = await camera.take();
    if (blob) take([new File([blob], "camera.png", { type: blob.type })]);
  } catch (why) {
    cameraTrouble(typeof why === "string" ? t(why) : String(why));
  }
};

document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
});

const dragged = (event) => event.dataTransfer?.types.includes("Files");
let inside = 0;  // dragenter and dragleave come for every element on the way
document.addEventListener("dragenter", (event) => {
  if (dragged(event)) inside++;
  document.body.classList.toggle("dragging", inside > 0);
});
document.addEventListener("dragleave", (event) => {
  if (dragged(event)) inside--;
  document.body.classList.toggle("dragging", inside > 0);
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  document.body.classList.remove("dragging");
  take(event.dataTransfer.files);
});

// ---- answers out

// Draw everything again; ask what has not been asked.
function look() {
  moving = [];
  const cards = byId("cards");
  const wanted = asked();
  cards.classList.toggle("several", wanted.length > 1);
  const unscored = wanted.length > 0 && wanted.every((model) => taskOf(model).scored === false);
  byId("threshold").parentElement.hidden = unscored;
  const ready = wanted.filter((model) => shown || taskOf(model).makes);
  cards.replaceChildren(...ready.map((model) => card(model, shown)));
  const all = wanted.length > 0 && wanted.every((model) => taskOf(model).makes);
  document.querySelector(".picture").hidden = all;  // these are asked about no picture
  if (!shown && !all) cards.append(el("p", { className: "waiting soft" }, t("waiting")));
  byId("code").hidden = !shown || !engine.request || !wanted.length || all;
  byId("snippet").hidden = true;
  byId("copied").textContent = "";
  move();
}

function card(model, entry) {
  const body = el("div");
  const took = el("span");
  const made = el("article", { className: "card" },
    el("header", {},
      el("h3", {}, model.name),
      el("p", { className: "soft" }, [model.method, figure(model)].filter(Boolean).join(" · "), took)),
    body);
  if (taskOf(model).makes) body.append(taskOf(model).form(model, engine));
  else fill(model, entry, body, took);
  return made;
}

// Its main figure, and what it was measured on.
function figure({ headline, metric, split, share }) {
  if (headline == null) return "";
  const value = share === false ? number(headline) : percent(headline);
  return t(MEASURED[split] ?? "measured", { metric: nameOf(metric), value });
}

async function fill(model, entry, body, took) {
  if (!entry.answers.has(model.name)) entry.answers.set(model.name, ask(model, entry));
  const said = entry.answers.get(model.name);
  if (said.pending) {
    const loading = engine.loaded && !engine.loaded(model.name);
    body.append(el("p", { className: "soft working" }, t(loading ? "loading" : "working")));
    await said.pending;
    if (!body.isConnected) return;  // another picture is looked at by now
  }
  if (said.problem) {
    body.replaceChildren(trouble(said.problem, () => {
      entry.answers.delete(model.name);
      body.replaceChildren();
      fill(model, entry, body, took);
    }));
  } else {
    const drawn = taskOf(model).draw(said.answer, model, {
      neighbour: (index) => engine.neighbour(model.name, index),
      picture: entry.url,
    });
    body.replaceChildren(drawn.element);
    moving.push(drawn.update);
    took.textContent = " · " + t("took", { ms: Math.max(1, Math.round(said.ms)) });
  }
  move();
}

function ask(model, entry) {
  const said = {};
  const from = performance.now();
  said.pending = engine.predict(entry.blob, { model: model.name, top: TOP }).then(
    (answer) => Object.assign(said, { answer, ms: performance.now() - from }),
    (error) => { said.problem = understood(error); },
  ).finally(() => { said.pending = null; });
  return said;
}

function trouble(problem, again) {
  const [title, ...more] = explain(problem);
  return el("div", { className: "trouble" },
    el("p", {}, el("b", {}, title)), ...more.map((line) => el("p", { className: "soft" }, line)),
    FINAL.includes(problem.kind) ? null
      : el("button", { type: "button", onclick: again }, t("retry")));
}

// The threshold has moved, or something that it decides on has come.
function move() {
  const value = threshold();
  byId("threshold-said").textContent = value > 0 ? percent(value) : t("off");
  moving.forEach((update) => update(value));
  const lines = shown ? asked().map((model) => line(model, shown)).filter(Boolean) : [];
  byId("said").textContent = lines.join("; ");
  history.draw(shown);
}

function line(model, entry) {
  const said = entry.answers.get(model.name);
  if (said?.problem) return `${model.name}: ${explain(said.problem)[0]}`;
  return said?.answer && `${model.name}: ${taskOf(model).summary(said.answer, threshold())}`;
}

function caption(entry) {
  const model = asked().find(({ name }) => entry.answers.get(name)?.answer);
  if (model) return taskOf(model).summary(entry.answers.get(model.name).answer, threshold());
  return [...entry.answers.values()].some(({ problem }) => problem) ? "—" : "…";
}

byId("threshold").oninput = move;

// ---- the rest

for (const [button, make] of [["curl", curl], ["python", urllib]]) {
  byId(button).onclick = async () => {
    const value = threshold();
    const wanted = asked().map(({ name }) => (
      { model: name, top: TOP, ...(value > 0 && { threshold: value }) }
    ));
    const text = make(engine, shown, wanted);
    byId("snippet").textContent = text;
    byId("snippet").hidden = false;
    try {
      await navigator.clipboard.writeText(text);
      byId("copied").textContent = t("copied");
    } catch {  // not under https, or not allowed
      getSelection().selectAllChildren(byId("snippet"));
      byId("copied").textContent = t("notCopied");
    }
  };
}

byId("key").onsubmit = (event) => {
  event.preventDefault();
  engine.setKey(byId("key-field").value.trim());
  start();
};

byId("language").onclick = () => {
  toggle();
  speak();
  look();
};

function speak() {
  translate(document);
  byId("language").textContent = t("other");
  byId("language").lang = document.documentElement.lang === "en" ? "zh" : "en";
  byId("where").textContent = t(kind === "local" ? "whereLocal" : "whereRemote");
  cameraTrouble("");
}

function say(place, text) {
  byId(place).textContent = text;
  byId(place).hidden = !text;
}

function complain(text) { say("trouble", text); }

function cameraTrouble(text) { say("camera-trouble", text); }

function understood(error) {
  return error instanceof Problem ? error : new Problem("failed", String(error));
}

speak();
start();
