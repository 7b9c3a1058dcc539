// Elements, and a picture with outlines over it.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** An HTML element: attributes by name, listeners as `onclick`; children are text or nodes, never markup. */
export const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

/** The same in SVG. */
export const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);

/** Outlines that are seen on bright and on dark ground: a dark line below a bright one. */
export function outlines(path) {
  return svg(
    "g",
    { class: "outlines" },
    svg("path", { class: "halo", d: path }),
    svg("path", { class: "line", d: path }),
  );
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** Whether a key belongs to what the person types in or reads, not to the page. */
export function elsewhere(event) {
  return (
    event.target.matches("input:not([type=range]), textarea, select") || document.querySelector("dialog[open]") !== null
  );
}
