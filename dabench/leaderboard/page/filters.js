// Which rows are shown: words, tags, kinds of rows, columns of tasks.

/** Tags to filter by, where entries differ in them. */
const FACETS = [
  "method",
  "po",
  "points",
  "patches",
  "network",
  "backbone",
  "selector",
  "weak_labels",
  "rater",
  "options",
  "checked",
];

const newFilters = () => ({ query: "", facets: {}, hiddenTasks: new Set() });

function facetValues(row, facet) {
  if (facet === "rows") return [KINDS[row.kind].short];
  if (facet === "origin") return [...new Set(row.cells.map((cell) => cell.origin))];
  if (facet === "checked") return row.checked ? [row.checked] : [];
  return row.tags[facet] === undefined ? [] : [String(row.tags[facet])];
}

/** Facets with more than one value, and their values. */
function facetsOf(rows) {
  const found = ["rows", ...FACETS, "origin"].map((facet) => {
    const values = [...new Set(rows.flatMap((row) => facetValues(row, facet)))];
    return [facet, facet === "rows" ? values : values.sort((a, b) => a.localeCompare(b, "en", { numeric: true }))];
  });
  return found.filter(([, values]) => values.length > 1);
}

/** All that the text filter looks at, once a row. */
function words(row) {
  const origins = row.cells.map((cell) => cell.origin);
  row.words ??= [row.entry, row.source, row.note, row.bracket, ...Object.values(row.tags), ...row.missing, ...origins]
    .filter(Boolean)
    .join(" ")
    .toLowerCase();
  return row.words;
}

/** Published rows have no tags: only the text and "rows" filter them. */
function passes(row, { query, facets }) {
  const asked = query.toLowerCase().split(/\s+/);
  if (!asked.every((word) => words(row).includes(word))) return false;
  return Object.entries(facets).every(([facet, allowed]) => {
    const open = !allowed.size || (row.kind === "published" && facet !== "rows");
    return open || facetValues(row, facet).some((value) => allowed.has(value));
  });
}

/** A menu of boxes to tick; `summary` says in a word what is ticked. */
function menu(name, values, { ticked, tick, summary, changed }) {
  const count = h("span", { class: "count" }, summary());
  const change = (value) => (event) => {
    tick(value, event.target.checked);
    count.textContent = summary();
    changed();
  };
  const boxes = values.map((value) =>
    h("label", {}, h("input", { type: "checkbox", checked: ticked(value), change: change(value) }), value),
  );
  const title = h("summary", {}, name.replace("_", " "), count);
  return h("details", { class: "menu", "data-facet": name }, title, h("div", {}, boxes));
}

function facetMenu(facet, values, filters, changed) {
  const allowed = (filters.facets[facet] ??= new Set());
  return menu(facet, values, {
    ticked: (value) => allowed.has(value),
    tick: (value, on) => (on ? allowed.add(value) : allowed.delete(value)),
    summary: () => (allowed.size ? String(allowed.size) : "all"),
    changed,
  });
}

function taskMenu(tasks, { hiddenTasks }, changed) {
  return menu("task columns", tasks, {
    ticked: (task) => !hiddenTasks.has(task),
    tick: (task, on) => (on ? hiddenTasks.delete(task) : hiddenTasks.add(task)),
    summary: () => (hiddenTasks.size ? `${tasks.length - hiddenTasks.size} of ${tasks.length}` : "all"),
    changed,
  });
}

/** Only the menu that was clicked into stays open. */
function closeMenus(event) {
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (event.type === "keydown" || !menu.contains(event.target)) menu.open = false;
  });
}
