// What stands behind one entry: every score, every cell, its tags and its pictures.

const STATUS_ORDER = { failed: 0, oom: 1, killed: 2, unfinished: 3, skipped: 4, ok: 5 };
/** Cells listed at first. */
const MOST_CELLS = 200;

function plainTable(caption, head, rows) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "plain" },
      h("caption", {}, hidden(caption)),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((text) => h("th", { scope: "col" }, text)),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}

function fullScore(one) {
  if (!one) return none();
  const sd = typeof one.sd === "number" ? ` ± ${percent(one.sd)}` : "";
  return [h("b", {}, percent(one.mean)), sd, hasRange(one) && h("small", {}, `${ends(one)}, ${plural(one.n, "seed")}`)];
}

/** Every task at every metric; beside it what a paper prints for an entry of the same name. */
function scoreTable(row, board) {
  const printed = board.published.filter((one) => one.entry === row.entry);
  const tasks = board.tasks.filter((task) => row.scores[task] || printed.some((one) => one.scores[task]));
  const lines = tasks.flatMap((task) => [
    h(
      "tr",
      {},
      h("th", { scope: "row" }, task),
      board.metrics.map((metric) => h("td", {}, fullScore(row.scores[task]?.[metric]))),
    ),
    ...printed.map((one) =>
      h(
        "tr",
        { class: "published" },
        h("th", { scope: "row" }, `printed: ${one.source}`),
        board.metrics.map((metric) =>
          h("td", {}, typeof one.scores[task]?.[metric] === "number" ? percent(one.scores[task][metric]) : none()),
        ),
      ),
    ),
  ]);
  return plainTable(`Scores of ${row.entry}`, ["Task", ...board.metrics.map(metricName)], lines);
}

function cellTable(row) {
  const cells = [...row.cells].sort(
    (a, b) =>
      (STATUS_ORDER[a.status] ?? 0) - (STATUS_ORDER[b.status] ?? 0) || a.task.localeCompare(b.task) || a.seed - b.seed,
  );
  const lines = cells
    .slice(0, MOST_CELLS)
    .map((cell) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, cell.task),
        h("td", { class: "number" }, String(cell.seed)),
        h(
          "td",
          {},
          h("span", { class: `status ${cell.status === "ok" ? "ok" : "bad"}` }, cell.status),
          cell.reason && h("span", { class: "sub" }, cell.reason),
        ),
        h("td", {}, cell.checked, cell.doubt && h("span", { class: "sub" }, cell.doubt)),
        h("td", {}, cell.origin),
        h("td", {}, h("code", {}, cell.cell_id)),
      ),
    );
  const more =
    cells.length > MOST_CELLS && h("p", { class: "hint" }, `and ${plural(cells.length - MOST_CELLS, "further cell")}.`);
  return [plainTable(`Cells of ${row.entry}`, ["Task", "Seed", "Status", "Checked", "Origin", "Cell"], lines), more];
}

function facts(row) {
  const costs = [
    ["annotation", row.annotation_seconds, duration],
    ["training", row.train_seconds, duration],
    ["memory", row.peak_memory_bytes, gigabytes],
  ]
    .filter(([, value]) => typeof value === "number")
    .map(([name, value, show]) => [name, show(value)]);
  const tags = Object.entries(row.tags)
    .filter(([name]) => name !== "status")
    .sort(([a], [b]) => a.localeCompare(b));
  return h(
    "dl",
    { class: "tags" },
    [...costs, ...tags].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

function entryDetails(row, shown, album) {
  const pictures = album.pictures
    .filter((picture) => picture.entry === row.entry)
    .sort((a, b) => a.task.localeCompare(b.task) || a.z - b.z);
  const first = row.cells.find((cell) => cell.status === "ok");
  return [
    h("p", { class: "badges" }, badges(row)),
    row.missing.length > 0 && h("p", { class: "notice" }, `Missing: ${row.missing.join("; ")}`),
    h("h3", {}, "Scores"),
    scoreTable(row, shown.board),
    h("h3", {}, `Cells (${row.cells.length.toLocaleString("en")})`),
    cellTable(row),
    first &&
      h(
        "p",
        { class: "hint" },
        "Recompute its numbers from its predictions: ",
        h("code", {}, `dabench verify ${first.cell_id}`),
      ),
    h("h3", {}, "What it is"),
    facts(row),
    pictures.length > 0 && [
      h("h3", {}, "Pictures"),
      pictureKey(),
      h(
        "div",
        { class: "cards small" },
        pictures.map((_, number) => card(pictures, number, (picture) => `${picture.task}, slice ${picture.z}`)),
      ),
    ],
  ];
}
