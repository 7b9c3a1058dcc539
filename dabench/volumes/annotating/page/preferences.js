// Preferences: one question after the other. What it shows and what was answered, the server knows.

import { Clock } from "./clock.js";
import { byId, el, outlines, plural, svg } from "./dom.js";
import { get, picture, post } from "./server.js";
import { listenToButtons, listenToKeys, say, welcome } from "./start.js";
import { View } from "./view.js";

const MARGIN = 0.2; // of the surroundings that is shown at first, as a share of the patch
const PAUSE = 150; // ms in which a key pressed twice does not answer the next question

const main = byId("main");
const panels = byId("panels");
const view = new View();
let about; // the data set: title, raters, idle
let rater = "";
let state; // of this rater, as the server says it
let clock;
let shown = []; // the buttons of the candidates, in their order
let current = 0; // the candidate that the arrow keys are at
let marked = null; // a Set of candidates while several are marked as equally good
let section = 0; // which neighbouring slice is shown, 0: the one in question
let busy = true;

// ------------------------------------------------------------------------------------------------ a question
async function show(next) {
  state = next;
  busy = true;
  main.removeAttribute("data-ready");
  progress();
  if (!state.item) return finish();
  const source = await picture(state.item.picture);
  [marked, section, current] = [null, 0, 0];
  build(state.item, source);
  instruct();
  layout();
  main.dataset.number = state.item.number;
  panels.focus({ preventScroll: true });
  clock.restart();
  setTimeout(() => {
    busy = false;
    main.dataset.ready = "true";
  }, PAUSE);
  fetchUpcoming();
}

/** The picture of the question behind this one, so that it is there when it is due. */
async function fetchUpcoming() {
  try {
    const { picture: upcoming } = await get(`/api/preferences/${rater}/upcoming`);
    if (upcoming) new Image().src = `/pictures/${upcoming}`;
  } catch {
    // The next answer says what is wrong.
  }
}

function build(item, source) {
  document.body.classList.remove("finished");
  shown = item.candidates.map((path, i) => candidate(item, path, i, source));
  panels.replaceChildren(...shown);
  byId("tabs").replaceChildren(
    ...shown.map((_, i) => el("button", { type: "button", onclick: () => go(i) }, `${i + 1}`)),
  );
  byId("slices").hidden = item.before === 0 && item.after === 0;
  const pictures = shown.map((button) => button.querySelector("svg"));
  const [height, width] = item.size;
  const [y, x, h, w] = item.frame;
  const around = (by) => [x - by, y - by, w + 2 * by, h + 2 * by];
  const most = Math.max(x, y, width - x - w, height - y - h); // less on a side where the slice ends
  view.size(around(most), around(Math.min(most, MARGIN * Math.max(w, h))));
  view.attach(...pictures);
  mark();
}

function candidate(item, path, i, source) {
  const [height, width] = item.size;
  const [y, x, h, w] = item.frame;
  const around = `M0,0H${width}V${height}H0ZM${x},${y}V${y + h}H${x + w}V${y}Z`;
  return el(
    "button",
    { type: "button", class: "candidate", onclick: () => chooseOrMark(i), onfocus: () => go(i) },
    el("span", { class: "number" }, el("span", { class: "unseen" }, "Candidate "), `${i + 1}`),
    svg(
      "svg",
      { "aria-hidden": "true" },
      svg("image", { href: source, width, height }),
      svg("path", { class: "around", d: around }),
      svg("rect", { class: "frame", x, y, width: w, height: h }),
      svg("path", { class: "differing", d: item.differ }),
      outlines(path),
    ),
    el("span", { class: "badge" }),
    path ? "" : el("span", { class: "empty" }, "no outline"),
  );
}

/** As large as the window allows: the number of columns that gives the largest pictures. */
function layout() {
  if (!state?.item) return;
  const count = document.body.classList.contains("single") ? 1 : shown.length;
  const gap = 12;
  const room = main.getBoundingClientRect();
  const down = Math.max(
    220,
    innerHeight - panels.getBoundingClientRect().top - document.querySelector("footer").offsetHeight - 20,
  );
  let best = 0;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const wide = (room.width - gap * (columns - 1)) / columns;
    const tall = ((down - gap * (rows - 1)) / rows) * (view.width / view.height);
    if (Math.min(wide, tall) > best) {
      best = Math.min(wide, tall);
      panels.style.setProperty("--columns", columns);
    }
  }
  panels.style.setProperty("--side", `${Math.max(Math.min(170, room.width), Math.floor(best))}px`);
}

// ------------------------------------------------------------------------------------------------ answers
function chooseOrMark(i) {
  if (marked) {
    if (!marked.delete(i)) marked.add(i);
    mark();
    instruct();
  } else answer("choose", [i]);
}

async function answer(kind, places = []) {
  if (busy || !state.item) return;
  busy = true;
  for (const i of places) shown[i].classList.add("chosen");
  const content = { item: state.item.number, answer: kind, places, seconds: clock.seconds() };
  const words = { choose: `Candidate ${places[0] + 1}`, tie: "Equally good", bad: "All bad", skip: "Left out" };
  await exchange("answers", content, `${words[kind]}: saved.`);
}

async function undo() {
  if (marked) return unmark();
  if (busy && state.item) return;
  if (!state.undo) return say("There is nothing to undo.");
  busy = true;
  await exchange("undo", {}, "The last answer was taken back: here is its question again.");
}

async function exchange(what, content, words) {
  try {
    const next = await post(`/api/preferences/${rater}/${what}`, content);
    say(words);
    await show(next);
  } catch (error) {
    if (error.status === 409)
      await show(await get(`/api/preferences/${rater}`)); // answered in another window
    else busy = false;
    say(error.message, true);
  }
}

function tie() {
  if (busy || !state.item) return;
  if (shown.length === 2) return answer("tie", [0, 1]);
  if (marked) shown.forEach((_, i) => marked.add(i));
  marked ??= new Set();
  mark();
  instruct();
}

function unmark() {
  marked = null;
  mark();
  instruct();
}

function enter() {
  if (!marked) return answer("choose", [current]);
  if (marked.size > 1) return answer("tie", [...marked].sort());
  say("Mark two or more, or press Esc.");
}

// ------------------------------------------------------------------------------------------------ looking
function go(i) {
  current = (i + shown.length) % shown.length;
  mark();
}

const step = (by) => {
  go(current + by);
  shown[current].focus({ preventScroll: true });
};

function mark() {
  shown.forEach((button, i) => {
    button.classList.toggle("current", i === current);
    button.classList.toggle("marked", marked?.has(i) ?? false);
    if (marked) button.setAttribute("aria-pressed", marked.has(i));
    else button.removeAttribute("aria-pressed");
  });
  [...byId("tabs").children].forEach((tab, i) => tab.setAttribute("aria-pressed", i === current));
  byId("tie").setAttribute("aria-pressed", marked !== null);
}

async function slice(step) {
  const { item } = state;
  const wanted = section + step;
  if (!item || wanted < -item.before || wanted > item.after) return;
  const { picture: digest } = await get(`/api/preferences/${rater}/slices/${item.number}/${wanted}`);
  const source = await picture(digest);
  section = wanted;
  for (const button of shown) {
    button.querySelector("image").setAttribute("href", source);
    button.querySelector(".badge").textContent = section ? `slice ${section > 0 ? "+" : "−"}${Math.abs(section)}` : "";
    button.classList.toggle("elsewhere", section !== 0);
  }
}

function toggle(name) {
  const on = document.body.classList.toggle(name);
  byId(name).setAttribute("aria-pressed", on);
  layout();
}

// ------------------------------------------------------------------------------------------------ words
function instruct() {
  byId("hint").textContent = marked
    ? `Mark all that are equally good (${marked.size} so far), then press Enter. Esc: only one is best.`
    : "Click the best picture or press its number. Judge only what lies in the dashed frame.";
  byId("tie").firstChild.textContent = marked ? "Mark all " : "Equally good ";
  for (const name of ["save", "cancel"]) byId(name).hidden = marked === null;
  for (const name of ["bad", "skip", "undo"]) byId(name).hidden = marked !== null;
}

function progress() {
  const { done, total, seconds, left, budget } = state;
  byId("bar").max = total;
  byId("bar").value = done;
  const parts = [`${done} of ${total}`];
  if (left) parts.push(`about ${minutes(left * seconds)} left`);
  if (state.recent.length > 4) parts.push(`${seconds.toFixed(1)} s each`);
  if (budget) parts.push(budget);
  byId("progress").textContent = parts.join(" · ");
  pace();
  byId("undo").disabled = !state.undo;
}

/** A bar for each of the last answers, as high as it took long: who tires sees it. */
function pace() {
  const slowest = Math.max(...state.recent, 1);
  const bars = state.recent.map((seconds, i) => {
    const height = Math.max(1, (20 * seconds) / slowest);
    return svg("rect", { x: 4 * i, y: 20 - height, width: 3, height });
  });
  byId("pace").replaceChildren(byId("pace").firstElementChild, ...bars);
  byId("pace").toggleAttribute("hidden", !bars.length);
  byId("pace").setAttribute("viewBox", `0 0 ${4 * Math.max(state.recent.length, 1)} 20`);
}

const minutes = (seconds) =>
  seconds < 90 ? `${Math.ceil(seconds / 10) * 10} s` : plural(Math.round(seconds / 60), "minute");

function finish() {
  document.body.classList.add("finished");
  main.dataset.number = "done";
  byId("tabs").replaceChildren();
  panels.replaceChildren(
    el(
      "div",
      { class: "done" },
      el("h2", {}, "All questions are answered. Thank you!"),
      el("p", {}, "Everything is saved: close this page, and press Ctrl-C in the terminal. To train on the answers:"),
      el("code", {}, state.command),
    ),
  );
}

// ------------------------------------------------------------------------------------------------ keys and start
const KEYS = {
  t: tie,
  x: () => answer("bad"),
  s: () => answer("skip"),
  u: undo,
  Enter: enter,
  Escape: unmark,
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  d: () => toggle("differ"),
  v: () => toggle("single"),
  "+": () => view.zoom(1.25),
  "=": () => view.zoom(1.25),
  "-": () => view.zoom(0.8),
  0: () => view.fit(),
  n: () => slice(1),
  p: () => slice(-1),
  "?": () => byId("keys").showModal(),
};

for (let number = 1; number <= 9; number++)
  KEYS[number] = () => {
    if (!busy && number <= shown.length) chooseOrMark(number - 1);
  };

const BUTTONS = {
  tie,
  bad: KEYS.x,
  skip: KEYS.s,
  undo,
  save: enter,
  cancel: unmark,
  differ: KEYS.d,
  single: KEYS.v,
  help: KEYS["?"],
  zoomin: KEYS["+"],
  zoomout: KEYS["-"],
  next: KEYS.n,
  previous: KEYS.p,
};

async function start() {
  about = await get("/api/preferences");
  byId("title").textContent = about.question;
  clock = new Clock(about.idle);
  listenToKeys(KEYS);
  listenToButtons(BUTTONS);
  addEventListener("resize", layout);
  await welcome(about, async (name) => {
    const first = await get(`/api/preferences/${encodeURIComponent(name)}`);
    rater = name;
    await show(first);
  });
}

start().catch((error) => say(error.message, true));
