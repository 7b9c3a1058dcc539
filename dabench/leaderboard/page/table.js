// A table whose columns sort by click or key; rows come in groups that never mix.

/** Rows drawn at first; a button draws the rest. */
const MOST_ROWS = 100;

/** Rows in the order of a column; those without a value stay last, whichever way it runs. */
function sorted(rows, columns, sort) {
  const column = columns.find((one) => one.key === sort.key);
  if (!column) return rows;
  const sign = sort.descending ? -1 : 1;
  const missing = (value) => value === null || value === undefined || Number.isNaN(value);
  const keyed = rows.map((row) => [column.value(row), row]);
  keyed.sort(([a, first], [b, second]) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b) || first.place - second.place;
    const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
    return sign * order || first.place - second.place;
  });
  return keyed.map(([, row]) => row);
}

/** The next state of sorting when a column is asked for: its better end first, then turned round. */
function nextSort(sort, column) {
  const descending = sort.key === column.key ? !sort.descending : Boolean(column.descending);
  return { key: column.key, descending };
}

function heading(column, sort, onSort) {
  if (!column.value) return h("th", { scope: "col", class: column.class }, column.label);
  const active = sort.key === column.key;
  const state = active ? (sort.descending ? "descending" : "ascending") : "none";
  return h(
    "th",
    { scope: "col", class: column.class, "aria-sort": state, "data-key": column.key },
    h(
      "button",
      {
        type: "button",
        title: column.title ?? `Sort by ${column.label}`,
        "data-focus": `sort:${column.key}`,
        click: () => onSort(column),
      },
      h("span", {}, column.label),
      h("span", { class: "arrow", "aria-hidden": "true" }, active ? (sort.descending ? "↓" : "↑") : "↕"),
    ),
  );
}

function tableRow(row, columns, rowAttributes) {
  return h(
    "tr",
    rowAttributes(row),
    columns.map((column) => {
      const tag = column.header ? "th" : "td";
      return h(tag, { class: column.class, scope: column.header ? "row" : null }, column.cell(row));
    }),
  );
}

/**
 * A table. `groups` are [{kind, label, rows}]: each is sorted for itself, below its label where it has one.
 * `onSort(column)` and `onMore()` ask the owner for another state; `limit` is the number of rows to draw.
 */
function table({ caption, columns, groups, sort, onSort, limit = MOST_ROWS, onMore, rowAttributes = () => ({}) }) {
  let left = limit;
  const bodies = groups
    .filter((group) => group.rows.length)
    .map((group) => {
      const rows = sorted(group.rows, columns, sort).slice(0, Math.max(0, left));
      left -= group.rows.length;
      const title =
        group.label &&
        h(
          "tr",
          { class: "group" },
          h("th", { scope: "rowgroup", colspan: columns.length }, h("span", {}, group.label)),
        );
      return h(
        "tbody",
        { class: group.kind, "data-kind": group.kind },
        title,
        rows.map((row) => tableRow(row, columns, rowAttributes)),
      );
    });
  const head = h(
    "thead",
    {},
    h(
      "tr",
      {},
      columns.map((column) => heading(column, sort, onSort)),
    ),
  );
  const all = groups.reduce((sum, group) => sum + group.rows.length, 0);
  const more =
    left < 0 &&
    onMore &&
    h("button", { type: "button", class: "more", click: onMore }, `Show all ${all.toLocaleString("en")} rows`);
  return [
    h(
      "div",
      { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
      h("table", {}, h("caption", {}, hidden(caption)), head, bodies),
    ),
    more,
  ];
}
