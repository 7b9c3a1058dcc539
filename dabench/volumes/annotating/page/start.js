// What both pages share: the dialogs' frames, names, keys, and a button that hides what is drawn while it is held.

import { byId, el, elsewhere } from "./dom.js";
import { forgetToken } from "./server.js";

/** What the server takes for a name. */
const NAME = /^[a-z0-9][a-z0-9._-]*$/;

/** Complete the dialogs: what a page says of itself stands in its HTML, names and buttons are those of both. */
function frame(about) {
  byId("welcome")
    .querySelector("form")
    .append(
      el(
        "label",
        {},
        "Your name or initials ",
        el("input", {
          id: "name",
          name: "name",
          required: "",
          maxlength: 40,
          autocomplete: "off",
          spellcheck: "false",
        }),
      ),
      el("p", { class: "problem", id: "name-problem", role: "alert" }),
      el(
        "div",
        { class: "row" },
        el("button", { class: "main", value: "start" }, "Start"),
        " ",
        el("span", { class: "soft" }, about.title),
      ),
    );
  const keys = byId("keys").querySelector("form");
  keys.prepend(el("h2", { id: "keys-title" }, "How it works"));
  keys.append(el("div", { class: "row" }, el("button", { class: "main", value: "close" }, "Close")));
}

/** Ask for a name, once: it stays in the address, so that a page that is loaded again goes on. `enter` takes it. */
export async function welcome(about, enter) {
  forgetToken();
  frame(about);
  const dialog = byId("welcome");
  const known = new URLSearchParams(location.hash.slice(1)).get("rater");
  const open = async () => {
    const name = byId("name").value.trim().toLowerCase().replaceAll(/\s+/g, "-");
    try {
      if (!NAME.test(name))
        throw new Error("A name has letters from a to z, digits, . _ or -, and begins with a letter or digit.");
      await enter(name);
      location.hash = `rater=${encodeURIComponent(name)}`;
      dialog.close();
    } catch (error) {
      byId("name-problem").textContent = error.message;
      if (!dialog.open) dialog.showModal();
    }
  };
  byId("name").value = known ?? about.rater;
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    open();
  });
  if (known) await open();
  else dialog.showModal();
}

const hide = (hidden) => document.body.classList.toggle("hidden-outlines", hidden);

/** Call what belongs to a key; `repeating` keys work while they are held. Space hides the outlines while it is held. */
export function listenToKeys(acts, repeating = "+-=") {
  addEventListener("keydown", (event) => {
    if (elsewhere(event) || event.altKey) return;
    const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const control = event.ctrlKey || event.metaKey;
    const act = control ? pressed === "z" && acts.u : acts[pressed];
    const button = pressed === "Enter" && event.target.closest("footer, header"); // that has the focus
    if (button || (control && !act)) return;
    if (act || pressed === " ") event.preventDefault();
    if (pressed === " ") hide(true);
    else if (act && (!event.repeat || repeating.includes(pressed))) act(event);
  });
  addEventListener("keyup", (event) => {
    if (event.key !== " " || elsewhere(event)) return;
    event.preventDefault();
    hide(false);
  });
  addEventListener("blur", () => hide(false));
  byId("hide").addEventListener("pointerdown", () => hide(true));
  for (const kind of ["pointerup", "pointerleave", "pointercancel"])
    byId("hide").addEventListener(kind, () => hide(false));
}

export function listenToButtons(acts) {
  for (const [name, act] of Object.entries(acts)) byId(name).addEventListener("click", act);
}

export function say(text, problem = false) {
  byId("said").textContent = text;
  byId("said").classList.toggle("problem", problem);
}
