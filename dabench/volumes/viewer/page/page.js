// The page: what the reader does, and what is drawn of it.

const part = (id) => document.getElementById(id);
const plural = (count, word) => `${count.toLocaleString("en")} ${count === 1 ? word : word + "s"}`;
let current = null;
let busy = false;
let waiting = false;

// ------------------------------------------------------------------------------------------------ drawing
/** Shows the chosen slice; while one is decoded, later choices wait and only the last one is shown. */
async function show() {
  tell();
  if (busy) {
    waiting = true;
    return;
  }
  busy = true;
  do {
    waiting = false;
    const number = state.number;
    current = await load(number);
    redraw();
  } while (waiting);
  busy = false;
  for (const near of [state.number + 1, state.number - 1]) if (near in ABOUT.slices) load(near);
}

function redraw() {
  imageCanvas.style.filter = `brightness(${state.brightness}) contrast(${state.contrast})`;
  if (!current) return;
  draw(current, state.on, state.strength);
  part("zoom").textContent = `${view.zoom.toFixed(view.zoom < 10 ? 1 : 0)} ×`;
  stage.dataset.shown = current.z;
  remember();
}

/** Words, slider and switches for the chosen slice, before it is decoded. */
function tell() {
  const { z, objects, true_objects: real, dice } = OVERVIEW[state.number];
  const said = [h("b", {}, `Slice z = ${z}`), `${state.number + 1} of ${ABOUT.slices.length}`];
  if (objects !== undefined) said.push(plural(objects, "object"));
  if (real !== undefined) said.push(`${real.toLocaleString("en")} in the truth`);
  if (dice !== undefined) said.push(dice === null ? "Dice – (both empty)" : `Dice ${(100 * dice).toFixed(1)} %`);
  part("about").replaceChildren(...said.flatMap((text, at) => (at ? [" · ", text] : [text])));
  part("slice").value = state.number;
  part("slice").setAttribute("aria-valuetext", `z = ${z}`);
  part("previous").disabled = state.number === 0;
  part("next").disabled = state.number === ABOUT.slices.length - 1;
  part("strip").querySelector(".current")?.classList.remove("current");
  part("strip").children[state.number]?.classList.add("current");
  for (const name of offered) part(`layer-${name}`).checked = state.on.has(name);
  for (const name of Object.keys(PLAIN)) part(name).value = state[name];
}

// Browsers refuse an address that changes too often.
let timer = 0;
function remember() {
  clearTimeout(timer);
  timer = setTimeout(() => history.replaceState(null, "", written()), 150);
}

// ------------------------------------------------------------------------------------------------ choices
function go(number) {
  const next = clamp(number, 0, ABOUT.slices.length - 1);
  if (next === state.number) return;
  state.number = next;
  show();
}

function toggle(name) {
  state.on.has(name) ? state.on.delete(name) : state.on.add(name);
  tell();
  redraw();
}

/** All layers away, and back again. */
function hideAll() {
  if (state.on.size) state.before = new Set(state.on);
  state.on = state.on.size ? new Set() : new Set(state.before);
  tell();
  redraw();
}

function plain() {
  Object.assign(state, { brightness: PLAIN.brightness, contrast: PLAIN.contrast });
  tell();
  redraw();
}

function zoomBy(factor) {
  const box = stage.getBoundingClientRect();
  zoomAt(factor, box.left + box.width / 2, box.top + box.height / 2);
  redraw();
}

function fit() {
  Object.assign(view, { zoom: 1, x: 0.5, y: 0.5 });
  move(0, 0);
  redraw();
}

// ------------------------------------------------------------------------------------------------ keys, wheel, fingers
const KEYS = {
  ArrowRight: () => go(state.number + 1),
  ArrowLeft: () => go(state.number - 1),
  PageUp: () => go(state.number + 10),
  PageDown: () => go(state.number - 10),
  Home: () => go(0),
  End: () => go(ABOUT.slices.length - 1),
  "+": () => zoomBy(1.5),
  "=": () => zoomBy(1.5),
  "-": () => zoomBy(1 / 1.5),
  0: fit,
  a: hideAll,
  r: plain,
};
for (const name of offered) KEYS[LAYERS[name].key] = () => toggle(name);

document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  // The other sliders have the arrows to themselves.
  const slider = event.target.type === "range" && event.target.id !== "slice" && event.key.length > 1;
  if (!act || slider || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});

let turned = 0;
stage.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      zoomAt(Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
      return redraw();
    }
    // A touchpad turns in small parts; a wheel's notch is about 100.
    turned += event.deltaMode ? 40 * event.deltaY : event.deltaY;
    const steps = Math.trunc(turned / 40);
    turned -= 40 * steps;
    if (steps) go(state.number + Math.sign(steps));
  },
  { passive: false },
);

const fingers = new Map();
const middle = () => {
  const all = [...fingers.values()];
  const [x, y] = ["x", "y"].map((axis) => all.reduce((sum, one) => sum + one[axis], 0) / all.length);
  return { x, y, apart: all.length > 1 ? Math.hypot(all[0].x - all[1].x, all[0].y - all[1].y) : 0 };
};

stage.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (view.zoom > 1 || fingers.size > 1) stage.setPointerCapture(event.pointerId);
});

stage.addEventListener("pointermove", (event) => {
  point(event);
  if (!fingers.has(event.pointerId)) return;
  const before = middle();
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  const after = middle();
  if (before.apart && after.apart) zoomAt(after.apart / before.apart, after.x, after.y);
  const { scale } = placement();
  move((before.x - after.x) / scale / COLUMNS, (before.y - after.y) / scale / ROWS);
  stage.classList.toggle("moving", view.zoom > 1);
  redraw();
});

for (const end of ["pointerup", "pointercancel"])
  stage.addEventListener(end, (event) => {
    fingers.delete(event.pointerId);
    stage.classList.remove("moving");
  });

stage.addEventListener("pointerleave", () => (part("pixel").textContent = ""));

stage.addEventListener("dblclick", (event) => {
  if (view.zoom > 1) return fit();
  zoomAt(4, event.clientX, event.clientY);
  redraw();
});

/** What lies under the cursor: place in the volume, probability, id. */
function point(event) {
  const { x, y } = pixelAt(event.clientX, event.clientY);
  const [column, row] = [Math.floor(x), Math.floor(y)];
  const inside = current && column >= 0 && row >= 0 && column < COLUMNS && row < ROWS;
  part("pixel").textContent = inside ? words(row, column) : "";
}

function words(row, column) {
  const at = row * COLUMNS + column;
  const [top, left] = ABOUT.window;
  const said = [`x ${left + column * ABOUT.factor}  y ${top + row * ABOUT.factor}  z ${current.z}`];
  if (current.probability) said.push(`p ${(current.probability[at] / 256).toFixed(2)}`);
  if (current.instances?.[at]) said.push(`id ${current.ids[current.instances[at] - 1]}`);
  return said.join("   ");
}

// ------------------------------------------------------------------------------------------------ beginning
/** Bars above the slider: Dice where there is truth, else how many objects. */
function strip() {
  const name = OVERVIEW.some((one) => one.dice !== undefined) ? "dice" : "objects";
  if (!OVERVIEW.some((one) => one[name] !== undefined) || OVERVIEW.length < 2) return;
  const most = name === "dice" ? 1 : Math.max(1, ...OVERVIEW.map((one) => one[name] ?? 0));
  part("strip").append(
    ...OVERVIEW.map((one) => h("span", {}, h("i", { style: { "--height": `${(100 * (one[name] ?? 0)) / most}%` } }))),
  );
  part("strip").title = name === "dice" ? "Dice of each slice" : "Objects on each slice";
  part("strip").addEventListener("click", (event) => {
    const bar = event.target.closest("#strip > span");
    if (bar) go([...part("strip").children].indexOf(bar));
  });
}

function begin() {
  part("facts").textContent = ABOUT.facts.join(" · ");
  part("notes").append(...ABOUT.notes.map((note) => h("li", {}, note)));
  part("layers").append(...offered.map(layerSwitch));
  part("layers").closest("fieldset").hidden = !offered.length;
  part("slice").max = ABOUT.slices.length - 1;
  strip();
  part("layers").addEventListener("change", (event) => toggle(event.target.dataset.layer));
  part("slice").addEventListener("input", (event) => go(+event.target.value));
  for (const name of Object.keys(PLAIN))
    part(name).addEventListener("input", (event) => {
      state[name] = +event.target.value;
      redraw();
    });
  const buttons = { previous: () => go(state.number - 1), next: () => go(state.number + 1), none: hideAll, plain, fit };
  Object.assign(buttons, { closer: () => zoomBy(1.5), farther: () => zoomBy(1 / 1.5) });
  for (const [id, act] of Object.entries(buttons)) part(id).addEventListener("click", act);
  new ResizeObserver(() => {
    move(0, 0);
    redraw();
  }).observe(stage);
  addEventListener("hashchange", () => {
    read(location.hash);
    show();
  });
  read(location.hash);
  show();
}

begin();
