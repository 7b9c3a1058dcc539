// Controls: which layers there are, what the reader has set, and the address that holds it.

/** An element. Children are nodes or text, and text stays text: names may come from strangers. */
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "style") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat());
  return element;
}

const swatch = (kind, colour) => h("span", { class: kind, style: { "--swatch": colour } });
const entry = (colour, text) => h("span", {}, h("i", { style: { "--swatch": colour } }), text);
const gradient = `linear-gradient(to right, ${HEAT.map((colour) => rgb(colour)).join(", ")})`;

/** Layers in the order of the list: key, what they need, name with its sign, and a legend below it. */
const LAYERS = {
  prediction: { key: "p", needs: ["prediction"], name: [swatch("line", YELLOW), "Prediction"] },
  truth: { key: "t", needs: ["truth"], name: [swatch("line", CYAN), "Truth"] },
  errors: {
    key: "e",
    needs: ["prediction", "truth"],
    name: ["Errors"],
    legend: () => [
      entry(rgb(ERRORS.hit), "found"),
      entry(rgb(ERRORS.missed), "missed"),
      entry(rgb(ERRORS.invented), "made up"),
      entry(rgb(ERRORS.ignored), "ignored"),
    ],
  },
  heat: {
    key: "h",
    needs: ["probability"],
    name: ["Probability"],
    legend: () => [
      h(
        "span",
        { class: "heat" },
        h("i", { style: { "--swatch": gradient } }),
        h("b", {}, h("span", {}, "0"), h("span", {}, "0.5"), h("span", {}, "1")),
      ),
    ],
  },
  instances: {
    key: "i",
    needs: ["instances"],
    name: ["Objects"],
    legend: () => [h("span", {}, "one colour an id; the id under the cursor")],
  },
  points: { key: "o", needs: ["points"], name: [swatch("dot", PINK), "Points"] },
};
const offered = Object.keys(LAYERS).filter((name) => LAYERS[name].needs.every((need) => ABOUT.layers.includes(need)));
const FIRST = ["prediction", "truth", "points"].filter((name) => offered.includes(name));
const PLAIN = { brightness: 1, contrast: 1, strength: 0.45 };
const state = { number: 0, on: new Set(FIRST), before: new Set(FIRST), ...PLAIN };

function layerSwitch(name) {
  const { key, name: words, legend } = LAYERS[name];
  const box = h("input", { type: "checkbox", id: `layer-${name}`, "data-layer": name });
  return h(
    "label",
    { class: "layer", for: `layer-${name}` },
    box,
    h("span", {}, words),
    h("kbd", { "aria-hidden": "true" }, key.toUpperCase()),
    legend ? h("span", { class: "key" }, legend()) : [],
  );
}

// ------------------------------------------------------------------------------------------------ address
const short = (value) => String(+value.toFixed(4));

/** The view as the part of an address behind #: the slice by its number in the volume, not by its place here. */
function written() {
  const parts = {
    z: ABOUT.slices[state.number],
    on: offered
      .filter((n) => state.on.has(n))
      .map((n) => LAYERS[n].key)
      .join(""),
  };
  if (view.zoom > 1) Object.assign(parts, { zoom: short(view.zoom), x: short(view.x), y: short(view.y) });
  for (const [name, plain] of Object.entries(PLAIN)) if (state[name] !== plain) parts[name] = short(state[name]);
  return (
    "#" +
    Object.entries(parts)
      .map(([name, value]) => `${name}=${value}`)
      .join("&")
  );
}

/** Takes over what an address says; what it does not say, or says wrongly, stays as it is. */
function read(address) {
  const said = new URLSearchParams(address.replace(/^#/, ""));
  const number = (name, low, high, otherwise) => {
    const value = Number.parseFloat(said.get(name));
    return Number.isFinite(value) ? clamp(value, low, high) : otherwise;
  };
  if (said.has("z")) state.number = nearest(number("z", 0, ABOUT.depth, ABOUT.slices[state.number]));
  if (said.has("on")) state.on = new Set(offered.filter((name) => said.get("on").includes(LAYERS[name].key)));
  for (const [name, plain] of Object.entries(PLAIN)) {
    const { min, max } = document.getElementById(name);
    state[name] = number(name, +min, +max, plain);
  }
  Object.assign(view, { zoom: number("zoom", 1, MOST_ZOOM, 1), x: number("x", 0, 1, 0.5), y: number("y", 0, 1, 0.5) });
  move(0, 0);
}

/** The place of the shown slice that lies nearest to a slice of the volume. */
function nearest(z) {
  const away = ABOUT.slices.map((slice) => Math.abs(slice - z));
  return away.indexOf(Math.min(...away));
}
