// Elements without a framework: what is not a property of the element is an attribute of it.

export const byId = (id) => document.getElementById(id);

export function el(kind, given = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(given)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

const SMALL = 64;  // pixels a side, up to which pictures are shown as the squares that they are

export function sharpen({ target }) {
  target.classList.toggle("sharp", Math.max(target.naturalWidth, target.naturalHeight) <= SMALL);
}
