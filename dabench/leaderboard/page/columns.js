// The columns of the leaderboard, of one task, and of the pairwise differences.

const scoreColumn = (key, label, name, get, scale, kind = "score-cell") => ({
  key,
  label,
  class: kind,
  descending: true,
  title: `Sort by ${name}`,
  value: (row) => get(row)?.mean ?? null,
  cell: (row) => score(name, get(row), scale),
});

const costColumn = (key, label, title, show) => ({
  key,
  label,
  title,
  class: "number",
  value: (row) => row[key] ?? null,
  cell: (row) => (typeof row[key] === "number" ? show(row[key]) : none()),
});

/** Letters in columns of their own, so that shared ones stand one below the other. */
function ties(letters, all) {
  if (!letters) return none();
  const marks = all.length <= 10 ? all.map((letter) => (letters.includes(letter) ? letter : "\u2007")) : [...letters];
  return h(
    "span",
    { class: "ties", title: "Entries that share a letter cannot be told apart." },
    hidden(`group ${[...letters].join(", ")}`),
    h(
      "span",
      { "aria-hidden": "true" },
      marks.map((mark) => h("i", {}, mark)),
    ),
  );
}

function rank(row) {
  if (!row.rank) return none();
  const { mean: value, low, high } = row.rank;
  const words = `mean rank ${value.toFixed(2)}, 95 % interval ${low?.toFixed(1)} to ${high?.toFixed(1)}`;
  return h(
    "span",
    { class: "rank", title: words },
    hidden(words),
    h("b", { "aria-hidden": "true" }, value.toFixed(1)),
    typeof low === "number" && h("small", { "aria-hidden": "true" }, `${low.toFixed(1)}–${high.toFixed(1)}`),
  );
}

/** Points above or below the reference, with the interval on hover. */
function difference(row) {
  if (!row.difference) return none();
  const points = (value) => `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`;
  const { mean: value, low, high } = row.difference;
  const words = `${points(value)} points, 95 % ${points(low)} to ${points(high)}, p = ${probability(row.p)}`;
  return h("span", { title: words }, row.p < 0.05 ? points(value) : `(${points(value)})`);
}

function badges(row) {
  const seeds = seedsOf(row);
  const foreign = [...new Set(row.cells.map((cell) => cell.origin))].filter((origin) => origin !== "here");
  return [
    row.bracket &&
      h(
        "span",
        { class: "badge bracket" },
        row.bracket === "seen" ? "weights know the target" : `${row.bracket} bracket`,
      ),
    row.difference?.mean < 0 &&
      h("span", { class: "badge below", title: "Its mean is lower." }, `below ${row.reference}`),
    row.pareto &&
      h("span", { class: "badge pareto", title: "No entry is both better and cheaper to annotate." }, "Pareto"),
    seeds !== null &&
      seeds < ENOUGH_SEEDS &&
      h("span", { class: "badge few", title: "Fewer than three seeds: a trial, not a result." }, plural(seeds, "seed")),
    foreign.map((origin) => h("span", { class: "badge origin", title: "Handed in from elsewhere." }, `from ${origin}`)),
  ];
}

function entryCell(row, open) {
  if (row.kind === "published") {
    return [
      h("span", { class: "name" }, row.entry),
      h("span", { class: "sub" }, row.source, row.note && h("em", {}, row.note)),
    ];
  }
  return [
    h("button", { type: "button", class: "name", click: () => open(row), "aria-haspopup": "dialog" }, row.entry),
    h("span", { class: "badges" }, badges(row)),
    row.missing.length > 0 && h("span", { class: "sub missing" }, row.missing.join("; ")),
  ];
}

function chooser(row, chosen, toggle) {
  if (row.kind === "published") return "";
  return h("input", {
    type: "checkbox",
    checked: chosen.has(row.entry),
    "aria-label": `Compare ${row.entry}`,
    "data-focus": `choose:${row.entry}`,
    change: (event) => toggle(row.entry, event.target.checked),
  });
}

const CHECKS = {
  "rerun here": "Trained again on this machine, with the same result",
  "verified here": "Scores were computed again on this machine, from the predictions and the labels",
  "checked only": "Files and records agree with one another; scores were not computed again",
  unverified: "There are no files to check",
  failed: "Something is wrong: see the cells",
};

/** What is known of all cells of a row. */
const checkedColumn = {
  key: "checked",
  label: "Checked",
  title: "What is known of all of its cells",
  value: (row) => row.checked || null,
  cell: (row) =>
    row.checked
      ? h(
          "span",
          { class: row.checked === "failed" ? "status bad" : "checked", title: CHECKS[row.checked] },
          row.checked,
        )
      : none(),
};

/** Columns that every view of the leaderboard begins with. */
function firstColumns(actions) {
  return [
    {
      key: "choose",
      label: h("span", { title: "Choose entries to see side by side" }, hidden("Compare"), "⇆"),
      class: "choose",
      cell: (row) => chooser(row, actions.chosen, actions.toggle),
    },
    {
      key: "entry",
      label: "Entry",
      class: "entry",
      header: true,
      value: (row) => row.entry,
      cell: (row) => entryCell(row, actions.open),
    },
  ];
}

/** All tasks at one metric. */
function overviewColumns(shown, tasks, actions) {
  const { metric, rows, scale, ranked } = shown;
  const name = metricName(metric);
  const letters = [...new Set(rows.flatMap((row) => [...(row.groups ?? "")]))].sort();
  const ranking = [
    {
      key: "rank",
      label: "Rank",
      title: "Mean rank over tasks and slices, with its 95 % interval",
      class: "number",
      value: (row) => row.rank?.mean ?? null,
      cell: rank,
    },
    {
      key: "groups",
      label: "Ties",
      title: "Entries that share a letter cannot be told apart",
      class: "tie-cell",
      value: (row) => row.groups || null,
      cell: (row) => ties(row.groups, letters),
    },
  ];
  const gap = {
    key: "gap_closed",
    label: "Gap closed",
    title: "Share of the way from source-only to the oracle",
    class: "number",
    descending: true,
    value: (row) => row.gap_closed ?? null,
    cell: (row) => (typeof row.gap_closed === "number" ? `${(100 * row.gap_closed).toFixed(0)} %` : none()),
  };
  const references = [...new Set(rows.map((row) => row.reference).filter(Boolean))];
  const against = {
    key: "difference",
    label: references.length === 1 ? `vs ${references[0]}` : "vs start",
    title: "Points above or below; in brackets where the two cannot be told apart",
    class: "number",
    descending: true,
    value: (row) => row.difference?.mean ?? null,
    cell: difference,
  };
  return [
    ...firstColumns(actions),
    ...(ranked ? ranking : []),
    scoreColumn(
      "overall",
      `All tasks, ${name}`,
      `${name} over all tasks`,
      (row) => row.overall,
      scale,
      "score-cell overall",
    ),
    ...tasks.map((task) =>
      scoreColumn(`task:${task}`, task, `${name} on ${task}`, (row) => row.scores[task]?.[metric], scale),
    ),
    ...(rows.some((row) => row.difference) ? [against] : []),
    ...(rows.some((row) => typeof row.gap_closed === "number") ? [gap] : []),
    ...(rows.some((row) => row.checked) ? [checkedColumn] : []),
    ...costColumns(rows),
  ];
}

/** One task at all metrics. */
function taskColumns(shown, task, actions) {
  const { board, rows } = shown;
  const scores = board.metrics.map((metric) => {
    const get = (row) => row.scores[task]?.[metric];
    return scoreColumn(
      `metric:${metric}`,
      metricName(metric),
      `${metricName(metric)} on ${task}`,
      get,
      scaleAround(rows.map(get)),
    );
  });
  return [...firstColumns(actions), ...scores, ...costColumns(rows)];
}

function costColumns(rows) {
  return [
    costColumn("annotation_seconds", "Annotation", "Time that the annotation takes, by the desk's prices", duration),
    costColumn("train_seconds", "Training", "Training time of one cell, all stages", duration),
    costColumn("peak_memory_bytes", "Memory", "Peak memory", gigabytes),
  ].filter((column) => rows.some((row) => typeof row[column.key] === "number"));
}

function differenceColumns(rows, metric) {
  const around = scaleAround(rows.map((row) => row.difference));
  const reach = Math.max(Math.abs(around.low), Math.abs(around.high));
  const scale = { low: -reach, high: reach };
  const name = `${metricName(metric)} difference`;
  const text = (key, label) => ({ key, label, class: "entry", value: (row) => row[key], cell: (row) => row[key] });
  const number = (key, label, title) => ({
    key,
    label,
    title,
    class: "number",
    value: (row) => row[key] ?? null,
    cell: (row) => (typeof row[key] === "number" ? probability(row[key]) : none()),
  });
  return [
    text("first", "First"),
    text("second", "Second"),
    scoreColumn("difference", "First less second, points", name, (row) => row.difference, scale),
    number("p", "p", "Two-sided, paired over tasks, seeds and slices"),
    number("p_holm", "p (Holm)", "Corrected for all pairs"),
    { key: "verdict", label: "Verdict", class: "verdict", value: verdict, cell: verdict },
  ];
}

function verdict(row) {
  if (typeof row.p_holm !== "number" || row.p_holm >= 0.05) return "cannot be told apart";
  return row.difference.mean > 0 ? "first is better" : "second is better";
}
