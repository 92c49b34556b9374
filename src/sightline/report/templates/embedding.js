"use strict";
(() => {
  const data = JSON.parse(document.querySelector("#points").textContent);
  const one = (selector) => document.querySelector(selector);
  const field = one("#field"), tip = one("#tip"), tiny = one("#tiny");
  const sheets = [...document.querySelectorAll(".sheet")];
  const side = tiny.width, count = data.x.length, wrong = new Uint8Array(count), twin = new Uint8Array(count);
  for (const i of data.mistakes) wrong[i] = 1;
  for (const [a, b] of data.near) twin[a] = twin[b] = 1;
  const across = Math.floor(2048 / side), shown = 300;

  const say = (key) => one(`#words [data-key=${key}]`).querySelector(`[lang=${document.documentElement.lang === "zh" ? "zh" : "en"}]`)?.textContent
    ?? one(`#words [data-key=${key}]`).textContent;
  const style = () => getComputedStyle(document.documentElement);
  const colours = () => {
    const css = style(), of = (name) => css.getPropertyValue(name).trim();
    return { series: data.shapes.map((_, i) => of(`--s${i + 1}`)), card: of("--card"), ink: of("--ink"),
      soft: of("--soft"), bad: of("--bad"), accent: of("--accent") };
  };
  let paint = colours();

  // Of more classes than there are colours, the shape moves on with each round.
  const shapeOf = (k) => k < 0 ? "o" : data.shapes[(k + Math.floor(k / data.shapes.length)) % data.shapes.length];
  const colourOf = (k) => k < 0 ? paint.soft : paint.series[k % data.shapes.length];

  const polygon = (c, r, corners, turn, inner) => {
    const steps = inner ? 2 * corners : corners;
    for (let i = 0; i < steps; i++) {
      const a = turn + 2 * Math.PI * i / steps, far = inner && i % 2 ? inner * r : r;
      c[i ? "lineTo" : "moveTo"](far * Math.sin(a), -far * Math.cos(a));
    }
    c.closePath();
  };
  const cross = (c, r, turn) => {
    const w = r * .38;
    c.rotate(turn);
    for (const [x, y] of [[-w, -r], [w, -r], [w, -w], [r, -w], [r, w], [w, w], [w, r], [-w, r], [-w, w], [-r, w], [-r, -w], [-w, -w]]) c.lineTo(x, y);
    c.closePath();
    c.rotate(-turn);
  };
  const outline = (c, shape, r) => {
    c.beginPath();
    if (shape === "o") c.arc(0, 0, r * .9, 0, 7);
    else if (shape === "s") c.rect(-r * .8, -r * .8, 1.6 * r, 1.6 * r);
    else if (shape === "^") polygon(c, r * 1.1, 3, 0);
    else if (shape === "v") polygon(c, r * 1.1, 3, Math.PI);
    else if (shape === "<") polygon(c, r * 1.1, 3, -Math.PI / 2);
    else if (shape === ">") polygon(c, r * 1.1, 3, Math.PI / 2);
    else if (shape === "D") polygon(c, r * 1.15, 4, 0);
    else if (shape === "d") { c.save(); c.scale(.62, 1); polygon(c, r * 1.2, 4, 0); c.restore(); }
    else if (shape === "p") polygon(c, r * 1.05, 5, 0);
    else if (shape === "h") polygon(c, r * 1.05, 6, 0);
    else if (shape === "8") polygon(c, r, 8, Math.PI / 8);
    else if (shape === "*") polygon(c, r * 1.3, 5, 0, .42);
    else cross(c, r, shape === "X" ? Math.PI / 4 : 0);
  };

  // Each glyph is drawn once, and then copied: thousands of paths a frame would be slow.
  const ratio = () => Math.min(devicePixelRatio || 1, 2);
  let glyphs = new Map();
  const glyph = (k, r) => {
    const key = `${k} ${r}`;
    if (!glyphs.has(key)) {
      const size = Math.ceil(2 * (r * 1.4 + 2) * ratio()), made = document.createElement("canvas");
      made.width = made.height = size;
      const c = made.getContext("2d");
      c.translate(size / 2, size / 2);
      c.scale(ratio(), ratio());
      outline(c, shapeOf(k), r);
      c.fillStyle = colourOf(k);
      c.strokeStyle = paint.card;
      c.lineWidth = .8;
      c.fill();
      c.stroke();
      glyphs.set(key, made);
    }
    return glyphs.get(key);
  };

  // Places on the screen: x * scale + left. The longer side of the layout is 1, its middle 0.5.
  const wide = Math.max(...data.x.map((v) => 2 * Math.abs(v - .5)), .05), high = Math.max(...data.y.map((v) => 2 * Math.abs(v - .5)), .05);
  let view = { scale: 1, left: 0, top: 0 }, width = 1, height = 1, only = new Set(), chosen = new Uint8Array(count), lasso = [], over = -1;
  const base = () => .94 * Math.min(width / wide, height / high);
  const whole = () => {
    const scale = base();
    view = { scale, left: (width - scale) / 2, top: (height - scale) / 2 };
  };
  const radius = () => {
    const crowd = Math.sqrt(width * height / count) / 6;
    return Math.max(2.4, Math.min(9, crowd * Math.sqrt(view.scale / base()))).toFixed(1) * 1;
  };
  const visible = (i) => !only.size || only.has(data.labels[i]);
  const order = [...data.x.keys()].sort((a, b) => (wrong[a] + twin[a]) - (wrong[b] + twin[b]));

  const context = field.getContext("2d");
  const draw = () => {
    const c = context, r = radius(), any = chosen.includes(1), dpr = ratio();
    const { scale, left, top } = view;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, field.width, field.height);
    const rings = [];
    for (const i of order) {
      const x = (data.x[i] * scale + left) * dpr, y = (data.y[i] * scale + top) * dpr;
      if (x < -20 || y < -20 || x > field.width + 20 || y > field.height + 20) continue;
      const made = glyph(data.labels[i], r);
      const faint = !visible(i) || (any && !chosen[i]);
      c.globalAlpha = faint ? .13 : 1;
      c.drawImage(made, Math.round(x - made.width / 2), Math.round(y - made.height / 2));
      if (!faint && (wrong[i] || twin[i])) rings.push([i, x, y]);
    }
    c.globalAlpha = 1;
    c.lineWidth = 1.5 * dpr;
    const ring = (flags, colour, far, dash) => {
      c.beginPath();
      for (const [i, x, y] of rings) {
        if (!flags[i]) continue;
        c.moveTo(x + far, y);
        c.arc(x, y, far, 0, 7);
      }
      c.strokeStyle = colour;
      c.setLineDash(dash);
      c.stroke();
      c.setLineDash([]);
    };
    ring(wrong, paint.bad, (r + 2.5) * dpr, []);
    ring(twin, paint.ink, (r + 5) * dpr, [2 * dpr, 2 * dpr]);
    if (over >= 0) {
      c.beginPath();
      c.arc((data.x[over] * scale + left) * dpr, (data.y[over] * scale + top) * dpr, (r + 8) * dpr, 0, 7);
      c.strokeStyle = paint.accent;
      c.lineWidth = 2 * dpr;
      c.stroke();
    }
    if (lasso.length > 1) {
      c.beginPath();
      for (const [x, y] of lasso) c.lineTo(x * dpr, y * dpr);
      c.closePath();
      c.strokeStyle = paint.accent;
      c.fillStyle = paint.accent;
      c.lineWidth = 1.5 * dpr;
      c.stroke();
      c.globalAlpha = .12;
      c.fill();
      c.globalAlpha = 1;
    }
  };
  let waiting = false;
  const redraw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };

  const thumbnail = (canvas, i) => {
    const each = across * across, sheet = sheets[Math.floor(i / each)], k = i % each;
    const c = canvas.getContext("2d");
    c.clearRect(0, 0, side, side);
    if (sheet.complete) c.drawImage(sheet, k % across * side, Math.floor(k / across) * side, side, side, 0, 0, side, side);
  };
  const className = (k) => k < 0 ? say("none") : data.classes[k];
  const answer = (i) => !data.said ? "" :
    `${say("said")} ${data.classes[data.said[i]]} (${(100 * data.scores[i]).toFixed(0)}%)`;
  const nearest = (x, y) => {
    let best = -1, least = 14 * 14;
    for (let i = 0; i < count; i++) {
      if (!visible(i)) continue;
      const dx = data.x[i] * view.scale + view.left - x, dy = data.y[i] * view.scale + view.top - y;
      const far = dx * dx + dy * dy;
      if (far < least) { least = far; best = i; }
    }
    return best;
  };
  const point = (i) => {
    if (i === over) return;
    over = i;
    tip.hidden = i < 0;
    if (i >= 0) {
      thumbnail(tiny, i);
      const [name, truth, said] = tip.querySelectorAll("b, span");
      name.textContent = data.ids[i];
      truth.textContent = `${className(data.labels[i])} · ${say("split")}: ${data.splits[data.split[i]]}`;
      said.textContent = answer(i);
      said.className = wrong[i] ? "said" : "soft";
      const x = data.x[i] * view.scale + view.left, y = data.y[i] * view.scale + view.top;
      tip.style.left = `${Math.max(4, x + 16 + tip.offsetWidth > width ? x - 16 - tip.offsetWidth : x + 16)}px`;
      tip.style.top = `${Math.max(4, Math.min(y + 12, height - tip.offsetHeight - 4))}px`;
    }
    redraw();
  };

  // ---- what is chosen
  const choose = (rows) => {
    chosen = new Uint8Array(count);
    for (const i of rows) chosen[i] = 1;
    one("#chosen").hidden = !rows.length;
    one("#count").textContent = rows.length.toLocaleString();
    one("#files").value = rows.map((i) => data.ids[i]).join("\n");
    one("#copy").querySelectorAll(".w").forEach((node) => { node.textContent = node.dataset.before ?? node.textContent; });
    const counts = new Map();
    for (const i of rows) counts.set(data.labels[i], (counts.get(data.labels[i]) ?? 0) + 1);
    one("#counts").textContent = [...counts].sort((a, b) => b[1] - a[1]).map(([k, n]) => `${className(k)} ${n.toLocaleString()}`).join(", ");
    const cells = one("#cells");
    cells.replaceChildren(...rows.slice(0, shown).map((i) => {
      const cell = document.createElement("figure"), canvas = document.createElement("canvas");
      canvas.width = canvas.height = side;
      thumbnail(canvas, i);
      const name = document.createElement("b"), more = document.createElement("span");
      name.textContent = className(data.labels[i]);
      more.className = wrong[i] ? "said" : "soft";
      more.textContent = answer(i);
      cell.title = data.ids[i];
      cell.append(canvas, name, more);
      return cell;
    }));
    if (rows.length > shown) cells.append(Object.assign(document.createElement("p"), { textContent: `… ${say("more")}` }));
    redraw();
  };
  const within = (x, y) => {
    let inside = false;
    for (let i = 0, j = lasso.length - 1; i < lasso.length; j = i++) {
      const [ax, ay] = lasso[i], [bx, by] = lasso[j];
      if (ay > y !== by > y && x < (bx - ax) * (y - ay) / (by - ay) + ax) inside = !inside;
    }
    return inside;
  };
  const inLasso = () => [...data.x.keys()].filter((i) => visible(i) && within(data.x[i] * view.scale + view.left, data.y[i] * view.scale + view.top));

  // ---- hands
  let moving = false;
  const fingers = new Map();
  const mode = (move) => {
    moving = move;
    field.classList.toggle("moving", move);
    one("#move").setAttribute("aria-pressed", move);
    one("#pick").setAttribute("aria-pressed", !move);
  };
  const zoom = (factor, x, y) => {
    const scale = Math.max(base() / 2, Math.min(base() * 200, view.scale * factor)), real = scale / view.scale;
    view = { scale, left: x - (x - view.left) * real, top: y - (y - view.top) * real };
    redraw();
  };
  const at = (event) => { const box = field.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  field.addEventListener("pointerdown", (event) => {
    try { field.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone */ }
    fingers.set(event.pointerId, at(event));
    lasso = moving || event.shiftKey || fingers.size > 1 ? [] : [at(event)];
  });
  field.addEventListener("pointermove", (event) => {
    const here = at(event), before = fingers.get(event.pointerId);
    if (!before) { point(nearest(...here)); return; }
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      zoom(far(here) / Math.max(far(before), 1), other[0], other[1]);
    } else if (lasso.length) lasso.push(here);
    else view = { ...view, left: view.left + here[0] - before[0], top: view.top + here[1] - before[1] };
    fingers.set(event.pointerId, here);
    redraw();
  });
  const up = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (lasso.length > 2) choose(inLasso());
    else if (lasso.length) { const i = nearest(...lasso[0]); point(i); choose(i < 0 ? [] : [i]); }
    lasso = [];
    redraw();
  };
  field.addEventListener("pointerup", up);
  field.addEventListener("pointercancel", up);
  field.addEventListener("pointerleave", () => point(-1));
  field.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), ...at(event)); }, { passive: false });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
    if (step) view = { ...view, left: view.left + step[0], top: view.top + step[1] };
    else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.25 : .8, width / 2, height / 2);
    else return;
    event.preventDefault();
    redraw();
  });
  one("#pick").addEventListener("click", () => mode(false));
  one("#move").addEventListener("click", () => mode(true));
  one("#whole").addEventListener("click", () => { whole(); redraw(); });
  one("#wrong")?.addEventListener("click", () => choose(data.mistakes));
  one("#twins").addEventListener("click", () => choose([...new Set(data.near.flat())]));
  one("#clear").addEventListener("click", () => choose([]));
  one("#copy").addEventListener("click", async () => {
    const files = one("#files");
    try { await navigator.clipboard.writeText(files.value); } catch { files.select(); document.execCommand("copy"); }
    for (const node of one("#copy").querySelectorAll(".w")) {
      node.dataset.before ??= node.textContent;
      node.textContent = one(`#words [data-key=copied] [lang=${node.lang}]`).textContent;
    }
  });

  // ---- classes
  const legend = () => {
    const counts = new Map();
    for (const k of data.labels) counts.set(k, (counts.get(k) ?? 0) + 1);
    one("#classes").replaceChildren(...[...counts.keys()].sort((a, b) => a - b).map((k) => {
      const item = document.createElement("li"), button = document.createElement("button"), icon = document.createElement("canvas");
      icon.width = icon.height = 16 * ratio();
      const c = icon.getContext("2d"), made = glyph(k, 5.5);
      c.drawImage(made, (icon.width - made.width) / 2, (icon.height - made.height) / 2);
      button.type = "button";
      button.setAttribute("aria-pressed", only.has(k));
      button.append(icon, `${className(k)} ${counts.get(k).toLocaleString()}`);
      button.addEventListener("click", () => {
        if (!only.delete(k)) only.add(k);
        button.setAttribute("aria-pressed", only.has(k));
        redraw();
      });
      item.append(button);
      return item;
    }));
  };
  const fresh = () => { paint = colours(); glyphs = new Map(); legend(); redraw(); };
  new ResizeObserver(() => {
    const box = field.getBoundingClientRect(), first = width === 1;
    const middle = [(width / 2 - view.left) / view.scale, (height / 2 - view.top) / view.scale], share = view.scale / base();
    width = box.width;
    height = box.height;
    field.width = width * ratio();
    field.height = height * ratio();
    if (first) whole();
    else view = { scale: share * base(), left: width / 2 - middle[0] * share * base(), top: height / 2 - middle[1] * share * base() };
    draw();
  }).observe(field);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", fresh);
  new MutationObserver(legend).observe(document.documentElement, { attributeFilter: ["lang"] });
  addEventListener("load", fresh);
  legend();
})();
