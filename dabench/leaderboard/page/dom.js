"use strict";
// Elements, numbers as text, and the parts that every section uses.

/** An element. Children are nodes or text, and text stays text: names and reasons may come from strangers. */
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "style") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

const hidden = (text) => h("span", { class: "sr" }, text);
const none = () => h("span", { class: "none" }, hidden("none"), "–");
const plural = (count, word, words = word + "s") => `${count.toLocaleString("en")} ${count === 1 ? word : words}`;

/** A fraction in per cent with one digit. */
const percent = (value) => (100 * value).toFixed(1).replace("-", "−");

/** Seconds as a reader would say them. */
function duration(seconds) {
  if (seconds < 90) return `${+seconds.toPrecision(2)} s`;
  if (seconds < 90 * 60) return `${+(seconds / 60).toPrecision(2)} min`;
  return `${+(seconds / 3600).toPrecision(3)} h`;
}

const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(bytes < 1e10 ? 2 : 1)} GB`;
const probability = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));

/** A section with its heading; nothing where it has no content. */
function section(id, title, ...content) {
  const filled = content.flat(Infinity).filter(Boolean);
  if (!filled.length) return null;
  return h("section", { id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), filled);
}

/** Buttons of which one is pressed. */
function choice(label, options, current, choose) {
  const buttons = options.map(([value, text]) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(value === current),
        "data-focus": `${label}:${value}`,
        click: () => choose(value),
      },
      text,
    ),
  );
  return h(
    "div",
    { class: "choice", role: "group", "aria-label": label },
    h("span", { class: "label" }, label),
    buttons,
  );
}

/** A dialog that the page shares: a drawer for details, a sheet for a picture. `onKey` hears its keys. */
function openDialog(kind, title, content, onKey = null) {
  const dialog = document.getElementById("dialog") ?? document.body.appendChild(h("dialog", { id: "dialog" }));
  const close = () => dialog.close();
  dialog.className = kind;
  dialog.setAttribute("aria-label", title);
  dialog.replaceChildren(
    h(
      "div",
      { class: "dialog-body" },
      h(
        "div",
        { class: "dialog-head" },
        h("h2", {}, title),
        h("button", { type: "button", class: "close", "aria-label": "Close", click: close }, "✕"),
      ),
      ...[content].flat(Infinity).filter(Boolean),
    ),
  );
  dialog.onkeydown = onKey;
  dialog.onclick = (event) => event.target === dialog && close();
  if (!dialog.open) dialog.showModal();
  dialog.querySelector(".close").focus();
  dialog.scrollTop = 0;
}
