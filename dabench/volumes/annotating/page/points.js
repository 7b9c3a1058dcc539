// Points: a slice, and clicks on it. What was clicked, the server knows.

import { Clock } from "./clock.js";
import { byId, outlines, plural, svg } from "./dom.js";
import { get, picture, post } from "./server.js";
import { listenToButtons, listenToKeys, say, welcome } from "./start.js";
import { place, View } from "./view.js";

const NEAR = 11; // pixels of the screen within which a click means a mark
const STEPS = 40; // of the cross from one side of the picture to the other

const stage = byId("stage");
const board = byId("picture");
const image = svg("image");
const found = svg("g"); // what the model finds
const marks = svg("g", { class: "marks" });
const cross = svg(
  "g",
  { class: "aim" },
  svg("path", { class: "halo", d: "M-16 0H-4M4 0H16M0-16V-4M0 4V16" }),
  svg("path", { class: "line", d: "M-16 0H-4M4 0H16M0-16V-4M0 4V16" }),
);
const view = new View(resize);
let about; // the volume: title, shape, idle
let rater = "";
let state; // of the slice, as the server says it
let clock;
let kind = "object";
let aim = null; // where the cross is, once an arrow key was pressed
let asked = 0; // requests to the model so far
let waiting; // timer of the next one

// ------------------------------------------------------------------------------------------------ a slice
async function show(next) {
  const moved = state?.z !== next.z;
  if (moved || !state) {
    image.setAttribute("href", await picture(next.picture));
    found.replaceChildren();
    if (about.model) look();
  }
  state = next;
  byId("slice").value = state.z;
  marks.replaceChildren(...state.clicks.map(mark));
  words();
  resize();
  stage.dataset.z = state.z;
  stage.dataset.clicks = state.clicks.length;
}

async function go(z) {
  const last = about.shape[0] - 1;
  if (z < 0 || z > last) return;
  await attempt(async () => show(await get(`/api/points/${rater}/slices/${z}`)));
}

/** The next slice without clicks; with a model, the next on which it finds an object here that you have not clicked. */
async function goEmpty() {
  if (withModel()) {
    const { x, y } = view.middle();
    say("Looking at the next slices …");
    await attempt(async () => {
      const { z } = await get(`/api/points/${rater}/unclicked/${state.z}?y=${y}&x=${x}`);
      if (z === null) return say("The model finds no object here that you have not clicked, on the next slices.");
      await go(z);
      say("The model finds an object here that you have not clicked.");
    });
    return;
  }
  const clicked = new Set(state.clicked);
  for (let z = state.z + 1; z < about.shape[0]; z++) if (!clicked.has(z)) return go(z);
  say("Every slice after this one has clicks.");
}

function mark(click) {
  const shape =
    click.kind === "object"
      ? [svg("circle", { class: "ring", r: 7.5 }), svg("circle", { class: "disc", r: 5.5 })]
      : [
          svg("path", { class: "ring", d: "M-6-6L6 6M6-6L-6 6" }),
          svg("path", { class: "no", d: "M-6-6L6 6M6-6L-6 6" }),
        ];
  const node = svg("g", { class: click.kind }, ...shape);
  node.place = { x: click.x + 0.5, y: click.y + 0.5 }; // the middle of pixel 0 is drawn at one half
  return node;
}

/** Marks keep their size on the screen. */
function resize() {
  const size = unit();
  for (const node of marks.children) put(node, node.place, size);
  cross.toggleAttribute("hidden", aim === null);
  if (aim) put(cross, aim, size);
}

const put = (node, { x, y }, size) => node.setAttribute("transform", `translate(${x} ${y}) scale(${size})`);

/** Pixels of the slice in one of the screen. */
const unit = () => view.width / view.scale / (board.clientWidth || 1);

function layout() {
  const [, height, width] = about.shape;
  const room = byId("main").getBoundingClientRect();
  const down = Math.max(240, innerHeight - room.top - document.querySelector("footer").offsetHeight - 20);
  const side = Math.min(room.width, down * (width / height));
  stage.style.setProperty("--side", `${Math.floor(side)}px`);
  resize();
}

// ------------------------------------------------------------------------------------------------ clicks
function nearest(spot, reach) {
  const distances = state.clicks.map((click) => Math.hypot(click.x + 0.5 - spot.x, click.y + 0.5 - spot.y));
  const least = Math.min(...distances);
  return least <= reach * unit() ? state.clicks[distances.indexOf(least)] : null;
}

function clicked(spot, meaning) {
  const hit = nearest(spot, NEAR);
  if (hit) return remove(hit);
  const { width, height } = view;
  if (spot.x < 0 || spot.y < 0 || spot.x >= width || spot.y >= height) return;
  const content = { z: state.z, y: spot.y - 0.5, x: spot.x - 0.5, kind: meaning };
  return change("add", content, meaning === "object" ? "Saved." : "Saved: not a mitochondrion.");
}

const remove = (click) => change("remove", { number: click.number }, "Removed; Undo brings it back.");

async function change(what, content, text) {
  const seconds = clock.seconds();
  clock.restart();
  await attempt(async () => {
    await show(await post(`/api/points/${rater}/${what}`, { ...content, seconds }));
    say(text);
    look();
  });
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    say(error.message, error.status !== 409);
  }
}

const undo = () => change("undo", {}, "Your last step was taken back.");

function choose(meaning) {
  kind = meaning;
  for (const name of ["object", "negative"]) byId(name).setAttribute("aria-pressed", name === kind);
}

// ------------------------------------------------------------------------------------------------ the cross
function move(dx, dy, event) {
  const step = event.shiftKey ? 1 : view.width / view.scale / STEPS;
  aim ??= view.middle();
  aim = {
    x: Math.min(Math.max(aim.x + dx * step, 0.5), view.width - 0.5),
    y: Math.min(Math.max(aim.y + dy * step, 0.5), view.height - 0.5),
  };
  const [width, height] = [view.width / view.scale, view.height / view.scale];
  if (aim.x < view.x || aim.y < view.y || aim.x > view.x + width || aim.y > view.y + height)
    view.pan((dx * width) / 3, (dy * height) / 3);
  resize();
}

function enter() {
  if (aim) return clicked(aim, kind);
  say("Move the cross with the arrow keys, then press Enter.");
}

function erase() {
  const hit = aim && nearest(aim, 3 * NEAR);
  if (hit) return remove(hit);
  say("There is no mark near the cross.");
}

// ------------------------------------------------------------------------------------------------ the model
/** Ask the model about the tile in the middle of the picture, a moment after the last change. */
function look() {
  clearTimeout(waiting);
  if (withModel()) waiting = setTimeout(ask, 150);
}

const withModel = () => about.model && byId("model").getAttribute("aria-pressed") === "true";

async function ask() {
  const mine = ++asked;
  const { x, y } = view.middle();
  await attempt(async () => {
    const { path, tile, scale, seconds } = await get(`/api/points/${rater}/outlines/${state.z}?y=${y}&x=${x}`);
    if (mine !== asked) return; // a newer one is on its way
    const [top, left, height, width] = tile;
    const group = svg(
      "g",
      { transform: `scale(${scale[1]} ${scale[0]})` },
      outlines(path),
      svg("rect", { class: "frame", x: left, y: top, width, height }),
    );
    found.replaceChildren(group);
    found.dataset.seconds = seconds;
  });
}

function nameEmpty() {
  byId("empty").firstChild.textContent = withModel() ? "Next not clicked " : "Next without clicks ";
}

function toggleModel() {
  const on = byId("model").getAttribute("aria-pressed") !== "true";
  byId("model").setAttribute("aria-pressed", on);
  nameEmpty();
  if (on) look();
  else found.replaceChildren();
}

// ------------------------------------------------------------------------------------------------ words
function words() {
  const here = state.clicks.filter((click) => click.kind === "object").length;
  byId("here").textContent = `Slice ${state.z} of 0–${about.shape[0] - 1}: ${plural(here, "click")}`;
  const parts = [`${plural(state.objects, "click")} on ${plural(state.slices, "slice")}`];
  if (state.negative) parts.push(`${state.negative} “not one”`);
  byId("progress").textContent = parts.join(" · ");
  byId("previous").disabled = state.z === 0;
  byId("next").disabled = state.z === about.shape[0] - 1;
}

// ------------------------------------------------------------------------------------------------ keys and start
const KEYS = {
  u: undo,
  c: () => choose("object"),
  b: () => choose(kind === "object" ? "negative" : "object"),
  Enter: enter,
  Delete: erase,
  Backspace: erase,
  n: () => go(state.z + 1),
  p: () => go(state.z - 1),
  g: goEmpty,
  ArrowLeft: (event) => move(-1, 0, event),
  ArrowRight: (event) => move(1, 0, event),
  ArrowUp: (event) => move(0, -1, event),
  ArrowDown: (event) => move(0, 1, event),
  "+": () => view.zoom(1.25, aim ?? undefined),
  "=": () => view.zoom(1.25, aim ?? undefined),
  "-": () => view.zoom(0.8),
  0: () => view.fit(),
  m: () => about.model && toggleModel(),
  "?": () => byId("keys").showModal(),
};
const REPEATING = "+-=np ArrowLeft ArrowRight ArrowUp ArrowDown";

const BUTTONS = {
  object: KEYS.c,
  negative: () => choose("negative"),
  undo,
  previous: KEYS.p,
  next: KEYS.n,
  empty: goEmpty,
  zoomin: KEYS["+"],
  zoomout: KEYS["-"],
  help: KEYS["?"],
  model: KEYS.m,
};

async function start() {
  about = await get("/api/points");
  const [depth, height, width] = about.shape;
  clock = new Clock(about.idle);
  for (const [name, value] of Object.entries({ width, height })) image.setAttribute(name, value);
  board.append(image, found, marks, cross);
  view.size([0, 0, width, height]);
  view.attach(board);
  board.addEventListener("click", (event) => clicked(place(board, event), event.shiftKey ? "negative" : kind));
  for (const name of ["wheel", "pointerup", "keyup"]) board.addEventListener(name, look, { passive: true });
  byId("slice").max = depth - 1;
  byId("slice").addEventListener("input", (event) => go(Number(event.target.value)));
  byId("slice").addEventListener("change", () => board.focus());
  for (const name of ["model", "model-key"]) byId(name).hidden = !about.model;
  nameEmpty();
  listenToKeys(KEYS, REPEATING);
  listenToButtons(BUTTONS);
  addEventListener("resize", layout);
  await welcome(about, async (name) => {
    const first = await get(`/api/points/${encodeURIComponent(name)}/slices/0`);
    rater = name;
    await show(first);
    layout();
  });
  board.focus();
}

start().catch((error) => say(error.message, true));
