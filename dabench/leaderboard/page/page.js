// The page: what the reader has chosen, and the sections drawn from it.

const TABS = JSON.parse(document.getElementById("data").textContent);
const TITLES = Object.assign({}, ...TABS.flatMap((tab) => tab.boards.map((board) => board.titles)));
/** Pairs listed at first. */
const FIRST_PAIRS = 12;
const state = { tab: 0 };

/** What a tab starts with. */
function reset(number) {
  const tab = TABS[number];
  Object.assign(state, {
    tab: number,
    metric: tab.boards[0].metric,
    task: "",
    sort: { key: "" },
    filters: newFilters(),
    chosen: new Set(),
    look: {},
    limit: MOST_ROWS,
    differences: { sort: { key: "" }, limit: FIRST_PAIRS },
  });
}

/** A task's own table runs by the chosen metric; that of all tasks stands as it was ranked. */
const firstSort = (task, metric) => (task ? { key: `metric:${metric}`, descending: true } : { key: "" });

const current = () => view(TABS[state.tab], state.metric);

/** Draws a part anew; a control that is drawn again keeps the focus. */
function put(id, ...content) {
  const part = document.getElementById(id);
  const focused = part.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  part.replaceChildren(...content.flat().filter(Boolean));
  if (focused !== undefined) part.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

const matched = ({ pixel_size }) => pixel_size === "match" && "matched pixel sizes";

function settingLine(tab) {
  const { data, preset, protocol, inference } = tab.setting;
  const pixels = matched(tab.setting) ? { "pixel size": "matched" } : {};
  const parts = { data, preset, protocol, inference, ...pixels, ...(tab.suite ? { suite: tab.suite } : {}) };
  return h(
    "dl",
    { class: "setting" },
    Object.entries(parts).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** The first note in the open, the others at a click. */
function notes([first, ...others]) {
  if (!others.length) return first && h("p", { class: "notes" }, first);
  return h(
    "details",
    { class: "notes" },
    h("summary", {}, first, h("span", { class: "link" }, plural(others.length, "more note"))),
    h(
      "ul",
      {},
      others.map((note) => h("li", {}, note)),
    ),
  );
}

const tabName = ({ setting, suite }) =>
  [suite, setting.data, setting.preset, setting.protocol, setting.inference, matched(setting)]
    .filter(Boolean)
    .join(" · ");

function toolbar(tab, shown) {
  const { board } = shown;
  if (!board.tasks.includes(state.task)) state.task = "";
  const search = h("input", {
    type: "search",
    id: "query",
    value: state.filters.query,
    placeholder: "entry, tag, reason, origin",
    input: (event) => {
      state.filters.query = event.target.value;
      drawTable();
    },
  });
  const again = () => {
    reset(state.tab);
    draw();
  };
  const ranked = tab.boards.map((one) => metricName(one.metric)).join(", ");
  return [
    h(
      "div",
      { class: "toolbar" },
      choice(
        "Metric",
        board.metrics.map((metric) => [metric, metricName(metric)]),
        state.metric,
        (metric) => {
          Object.assign(state, { metric, sort: firstSort(state.task, metric) });
          draw();
        },
      ),
      board.tasks.length > 1 &&
        choice("Table", [["", "All tasks"], ...board.tasks.map((task) => [task, task])], state.task, (task) => {
          Object.assign(state, { task, sort: firstSort(task, state.metric) });
          draw();
        }),
    ),
    h(
      "div",
      { class: "toolbar" },
      h("label", { class: "search" }, h("span", { class: "label" }, "Filter"), search),
      facetsOf(shown.rows).map(([facet, values]) => facetMenu(facet, values, state.filters, drawTable)),
      board.tasks.length > 1 && taskMenu(board.tasks, state.filters, drawTable),
      h("button", { type: "button", class: "link", click: again }, "Reset"),
      h("span", { id: "count", role: "status" }),
    ),
    !shown.ranked &&
      h(
        "p",
        { class: "notice" },
        `Ranks, ties, intervals over all tasks and gaps closed are known for ${ranked} only.`,
      ),
  ];
}

const actions = {
  get chosen() {
    return state.chosen;
  },
  toggle(entry, on) {
    on ? state.chosen.add(entry) : state.chosen.delete(entry);
    drawGallery();
    drawDifferences();
    document
      .querySelectorAll("#table tr[data-entry]")
      .forEach((row) => row.classList.toggle("chosen", state.chosen.has(row.dataset.entry)));
  },
  open(row) {
    openDialog("drawer", row.entry, entryDetails(row, current(), TABS[state.tab].album));
  },
};

function drawTable() {
  const shown = current();
  const rows = shown.rows.filter((row) => passes(row, state.filters));
  const tasks = shown.board.tasks.filter((task) => !state.filters.hiddenTasks.has(task));
  const columns = state.task ? taskColumns(shown, state.task, actions) : overviewColumns(shown, tasks, actions);
  const groups = Object.entries(KINDS).map(([kind, { label }]) => ({
    kind,
    label: kind === "ranked" ? "" : label,
    rows: rows.filter((row) => row.kind === kind),
  }));
  put(
    "table",
    table({
      caption: state.task
        ? `${state.task}, all metrics`
        : `${metricName(state.metric)}, ${shown.board.tasks.join(", ")}`,
      columns,
      groups,
      sort: state.sort,
      limit: state.limit,
      onSort: (column) => {
        state.sort = nextSort(state.sort, column);
        drawTable();
      },
      onMore: () => {
        state.limit = Infinity;
        drawTable();
      },
      rowAttributes: (row) => ({
        "data-entry": row.kind === "published" ? null : row.entry,
        class: state.chosen.has(row.entry) && row.kind !== "published" ? "chosen" : null,
      }),
    }),
    !rows.length && h("p", { class: "notice" }, shown.rows.length ? "No entry passes the filters." : "No entries."),
  );
  document.getElementById("count").textContent =
    `${rows.length.toLocaleString("en")} of ${plural(shown.rows.length, "row")}`;
}

function legend(shown) {
  const { low, high } = shown.scale;
  const example = { mean: low + 0.55 * (high - low), low: low + 0.3 * (high - low), high: low + 0.8 * (high - low) };
  return h(
    "p",
    { class: "legend" },
    h("span", {}, bar({ ...example, n: 3 }, shown.scale), "mean and 95 % interval"),
    h("span", {}, bar({ ...example, n: 1 }, shown.scale), "fewer than three seeds"),
    h(
      "span",
      {},
      `Bars run from ${(100 * low).toFixed(0)} to ${(100 * high).toFixed(0)} %. `,
      "Numbers are per cent; point at one for its sd and seeds.",
    ),
  );
}

function drawGallery() {
  const tab = TABS[state.tab];
  const shown = current();
  put(
    "gallery",
    gallery({
      album: tab.album,
      rows: shown.rows.filter((row) => row.kind !== "published"),
      tasks: shown.board.tasks,
      chosen: state.chosen,
      look: state.look,
      change: (look) => {
        state.look = look;
        drawGallery();
      },
      clear: () => {
        state.chosen.clear();
        drawTable();
        drawGallery();
        drawDifferences();
      },
    }),
  );
}

function drawDifferences() {
  const shown = current();
  const all = shown.ranked ? shown.board.differences : [];
  const chosen = [...state.chosen];
  // One chosen entry against all others; several among themselves.
  const least = Math.min(2, chosen.length);
  const rows = all.filter((row) => [row.first, row.second].filter((entry) => state.chosen.has(entry)).length >= least);
  rows.forEach((row, place) => {
    row.place = place;
  });
  const redraw = (change) => {
    Object.assign(state.differences, change);
    drawDifferences();
  };
  put(
    "differences",
    all.length > 0 &&
      section(
        "pairs",
        "Pairs",
        h(
          "p",
          { class: "hint" },
          `${plural(rows.length, "pair")}${chosen.length ? " of the chosen entries" : ""}. `,
          "An interval beside zero and p (Holm) below 0.05 tell two entries apart.",
        ),
        rows.length > 0 &&
          table({
            caption: "Pairwise differences",
            columns: differenceColumns(rows, state.metric),
            groups: [{ kind: "pairs", rows }],
            sort: state.differences.sort,
            limit: state.differences.limit,
            onMore: () => redraw({ limit: Infinity }),
            onSort: (column) => redraw({ sort: nextSort(state.differences.sort, column) }),
          }),
      ),
  );
}

/** The whole tab. */
function draw() {
  const tab = TABS[state.tab];
  const shown = current();
  put(
    "board",
    settingLine(tab),
    notes(shown.board.notes),
    toolbar(tab, shown),
    h("div", { id: "table" }),
    legend(shown),
    h("div", { id: "gallery" }),
    figures(shown.board),
    h("div", { id: "differences" }),
  );
  drawTable();
  drawGallery();
  drawDifferences();
}

function drawTabs() {
  const choose = (number) => {
    reset(number);
    drawTabs();
    draw();
    document.getElementById(`tab-${number}`).focus();
  };
  const steps = { ArrowRight: 1, ArrowLeft: -1 };
  const buttons = TABS.map((tab, number) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${number}`,
        "aria-controls": "board",
        "aria-selected": String(number === state.tab),
        tabindex: number === state.tab ? "0" : "-1",
        click: () => choose(number),
        keydown: (event) => {
          if (event.key in steps) choose((number + steps[event.key] + TABS.length) % TABS.length);
        },
      },
      tabName(tab),
    ),
  );
  put("tabs", buttons);
  document.getElementById("board").setAttribute("role", "tabpanel");
  document.getElementById("board").setAttribute("aria-labelledby", `tab-${state.tab}`);
}

function start() {
  const entries = TABS.reduce((sum, tab) => sum + tab.boards[0].standings.length, 0);
  const cells = TABS.reduce(
    (sum, tab) => sum + Object.values(tab.cells).reduce((count, some) => count + some.length, 0),
    0,
  );
  document.getElementById("summary").textContent =
    `${plural(TABS.length, "board")}, ${plural(entries, "entry", "entries")}, ${plural(cells, "cell")}`;
  if (!TABS.length)
    return put("board", h("p", { class: "notice" }, "No results yet. ", h("code", {}, "dabench run"), " makes some."));
  reset(0);
  drawTabs();
  draw();
  document.addEventListener("click", closeMenus);
  document.addEventListener("keydown", (event) => event.key === "Escape" && closeMenus(event));
  return undefined;
}

start();
