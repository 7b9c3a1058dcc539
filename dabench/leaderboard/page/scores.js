// Scores: values with intervals, the scale that a board's bars share, and the rows that a table shows.

/** A metric as a person says it; each board brings the titles of its own. */
const metricName = (metric) => TITLES[metric] ?? metric;

/** Fewer seeds than this are a trial, not a result. */
const ENOUGH_SEEDS = 3;

const KINDS = {
  ranked: { label: "Ranked", short: "ranked" },
  bracket: { label: "Upper bracket: trained on the target's own labels. Not ranked.", short: "upper bracket" },
  incomplete: {
    label: "Incomplete: a task is missing, so there is no overall score. Not ranked.",
    short: "incomplete",
  },
  published: {
    label: "Published: what papers print, from their own protocols and splits. Never ranked with ours.",
    short: "published",
  },
};

function kindOf(standing) {
  if (["upper", "seen"].includes(standing.bracket)) return "bracket";
  return standing.overall ? "ranked" : "incomplete";
}

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** The mean of the task means where all are there; without an interval, for that takes the slices. */
function plainOverall(scores, tasks, metric) {
  const means = tasks.map((task) => scores[task]?.[metric]?.mean);
  return tasks.length && means.every((value) => typeof value === "number") ? { mean: mean(means) } : null;
}

/** What a tab shows for a metric: that metric's own board, or the first one without its ranks. */
function view(tab, metric) {
  const own = tab.boards.find((board) => board.metric === metric);
  const board = own ?? tab.boards[0];
  const bare = { rank: null, groups: "", gap_closed: null, pareto: false, difference: null };
  const standings = board.standings.map((standing) => {
    const overall = own ? standing.overall : plainOverall(standing.scores, board.tasks, metric);
    return {
      ...standing,
      ...(own ? {} : bare),
      overall,
      kind: kindOf({ ...standing, overall }),
      cells: tab.cells[standing.entry] ?? [],
    };
  });
  const rows = [...standings, ...board.published.map((row) => publishedRow(row, board.tasks, metric))];
  rows.forEach((row, place) => {
    row.place = place;
  });
  return { board, metric, ranked: Boolean(own), rows, scale: scaleOf(rows, board.tasks, metric) };
}

function publishedRow(row, tasks, metric) {
  const scores = {};
  for (const [task, values] of Object.entries(row.scores)) {
    scores[task] = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { mean: value }]));
  }
  return {
    ...row,
    kind: "published",
    scores,
    overall: plainOverall(scores, tasks, metric),
    tags: {},
    cells: [],
    missing: [],
  };
}

/** The range that all bars of a board share, so that they compare down a column and across. */
function scaleOf(rows, tasks, metric) {
  const shown = rows.flatMap((row) => [row.overall, ...tasks.map((task) => row.scores[task]?.[metric])]);
  return scaleAround(shown);
}

/** How far a bar reaches beyond the outermost means: one that knows nothing (0 to 100) must not flatten the others. */
const REACH = 0.15;

/** A range around some intervals, in steps of 5 per cent. */
function scaleAround(intervals) {
  const known = intervals.filter((one) => typeof one?.mean === "number");
  const means = known.map((one) => one.mean);
  const low = Math.max(Math.min(...means) - REACH, Math.min(...known.map((one) => one.low ?? one.mean)));
  const high = Math.min(Math.max(...means) + REACH, Math.max(...known.map((one) => one.high ?? one.mean)));
  const scale = { low: Math.floor(20 * low) / 20, high: Math.ceil(20 * high) / 20 };
  return known.length && scale.high > scale.low ? scale : { low: 0, high: 1 };
}

const hasRange = (one) => typeof one.low === "number" && typeof one.high === "number" && one.n !== undefined;

/** "Dice 57.6 %, 95 % interval 52.1 to 63.0, ± 1.2 sd over seeds, 3 seeds". */
function inWords(name, one) {
  const words = [`${name} ${percent(one.mean)} %`];
  if (hasRange(one)) words.push(`95 % interval ${percent(one.low)} to ${percent(one.high)}`);
  if (typeof one.sd === "number") words.push(`± ${percent(one.sd)} sd over seeds`);
  if (one.n !== undefined) words.push(plural(one.n, "seed"));
  return words.join(", ");
}

const ends = ({ low, high }) => `${percent(low)}${low < 0 ? " to " : "–"}${percent(high)}`;

/** A band for the interval and a mark for the mean; the band is hollow below three seeds. */
function bar(one, scale) {
  const at = (value) => `${Math.max(0, Math.min(100, (100 * (value - scale.low)) / (scale.high - scale.low)))}%`;
  const few = one.n !== undefined && one.n < ENOUGH_SEEDS;
  const range =
    hasRange(one) && h("i", { class: "range", style: { left: at(one.low), right: `calc(100% - ${at(one.high)})` } });
  const zero = scale.low < 0 && scale.high > 0 && h("i", { class: "zero", style: { left: at(0) } });
  return h(
    "span",
    { class: few ? "bar few" : "bar", "aria-hidden": "true" },
    zero,
    range,
    h("i", { class: "mean", style: { left: at(one.mean) } }),
  );
}

/** A score as number, interval and bar, with all of it in words for whoever cannot see or wants to know. */
function score(name, one, scale) {
  if (!one || typeof one.mean !== "number") return none();
  const words = inWords(name, one);
  return h(
    "span",
    { class: "score", title: words },
    h(
      "span",
      { class: "numbers", "aria-hidden": "true" },
      h("b", {}, percent(one.mean)),
      hasRange(one) && h("small", {}, ends(one)),
    ),
    bar(one, scale),
    hidden(words),
  );
}

/** The smallest number of seeds behind any score of a row. */
function seedsOf(row) {
  const counts = Object.values(row.scores)
    .flatMap((metrics) => Object.values(metrics).map((one) => one.n))
    .filter((count) => count !== undefined);
  return counts.length ? Math.min(...counts) : null;
}
