// The same slice as several entries predicted it, side by side.

/** Entries shown until the reader chooses some. */
const FIRST_SHOWN = 3;

function pictureAlt({ entry, task, z, seed }) {
  if (!entry) return `Image and true contour, ${task}, slice ${z}`;
  return `${entry} on ${task}, slice ${z}, seed ${seed}: found, missed and made-up pixels over the image`;
}

/** A picture large; the arrow keys turn to the next one of its series in the same place, so that differences blink. */
function enlarge(series, number) {
  const picture = series[number];
  const turn = (step) => series.length > 1 && enlarge(series, (number + step + series.length) % series.length);
  const steps = { ArrowLeft: -1, ArrowRight: 1 };
  const arrow = (step, sign, words) =>
    h("button", { type: "button", "aria-label": words, click: () => turn(step) }, sign);
  openDialog(
    "sheet",
    `${picture.entry || "Truth"} · ${picture.task} · slice ${picture.z}${picture.note && ` · ${picture.note}`}`,
    [
      h("img", { src: picture.src, alt: pictureAlt(picture) }),
      series.length > 1 &&
        h(
          "p",
          { class: "turn" },
          arrow(-1, "←", "Previous picture"),
          `${number + 1} of ${series.length}`,
          arrow(1, "→", "Next picture"),
        ),
    ],
    (event) => event.key in steps && turn(steps[event.key]),
  );
}

/** One picture of a series with its caption; a click shows it large. */
function card(series, number, caption) {
  const picture = series[number];
  const alt = pictureAlt(picture);
  const note = [picture.note, picture.entry && `seed ${picture.seed}`].filter(Boolean).join(" · ");
  return h(
    "figure",
    { class: picture.strip ? "card strip" : "card", "data-entry": picture.entry },
    h(
      "button",
      { type: "button", click: () => enlarge(series, number), "aria-label": `Enlarge: ${alt}` },
      h("img", { src: picture.src, alt }),
    ),
    h("figcaption", {}, h("b", {}, caption(picture)), note && h("span", {}, note)),
  );
}

const pictureKey = () =>
  h(
    "p",
    { class: "key" },
    h("span", { class: "found" }, "green: found"),
    h("span", { class: "missed" }, "red: missed"),
    h("span", { class: "made-up" }, "blue: made up"),
  );

/** Slices of a task; the default is the middle one of those that most of the shown entries have. */
function slicesOf(pictures) {
  const count = new Map();
  for (const picture of pictures) if (picture.entry) count.set(picture.z, (count.get(picture.z) ?? 0) + 1);
  const all = [...count.keys()].sort((a, b) => a - b);
  const most = Math.max(0, ...count.values());
  const common = all.filter((z) => count.get(z) === most);
  return { all, best: common[Math.floor((common.length - 1) / 2)] };
}

/** Which entries to show: the chosen ones, else the first few of the table that have pictures. */
function shownEntries(rows, pictures, chosen) {
  const pictured = new Set(pictures.map((picture) => picture.entry));
  if (chosen.size) return rows.map((row) => row.entry).filter((entry) => chosen.has(entry));
  return rows
    .map((row) => row.entry)
    .filter((entry) => pictured.has(entry))
    .slice(0, FIRST_SHOWN);
}

function leftOut(album) {
  const parts = [];
  if (album.no_room) parts.push(`${plural(album.no_room, "picture")} left out to keep this file small`);
  if (album.unreadable) parts.push(`${plural(album.unreadable, "picture")} could not be read`);
  return parts.length ? h("p", { class: "hint" }, parts.join("; ") + ".") : null;
}

/** The section: task, slice, truth and one card an entry. `look` is {task, slice}; `change` asks for another. */
function gallery({ album, rows, tasks, chosen, look, change, clear }) {
  if (!album.pictures.length) return leftOut(album) && section("pictures", "Side by side", leftOut(album));
  const pictured = tasks.filter((task) => album.pictures.some((picture) => picture.task === task));
  const task = pictured.includes(look.task) ? look.task : pictured[0];
  const ofTask = album.pictures.filter((picture) => picture.task === task);
  const entries = shownEntries(rows, ofTask, chosen);
  const slices = slicesOf(ofTask.filter((picture) => entries.includes(picture.entry)));
  const z = slices.all.includes(look.slice) ? look.slice : slices.best;
  const at = ofTask.filter((picture) => picture.z === z);
  const without = entries.filter((entry) => !at.some((picture) => picture.entry === entry));
  const series = ["", ...entries].flatMap((entry) => at.filter((picture) => picture.entry === entry));
  return section(
    "pictures",
    "Side by side",
    h(
      "p",
      { class: "hint" },
      chosen.size
        ? `${chosen.size} chosen in the table. `
        : "The first entries with pictures. Tick entries in the table to choose your own. ",
      chosen.size > 0 && h("button", { type: "button", class: "link", click: clear }, "Clear the choice"),
    ),
    h(
      "div",
      { class: "toolbar" },
      pictured.length > 1 &&
        choice(
          "Task",
          pictured.map((name) => [name, name]),
          task,
          (name) => change({ task: name }),
        ),
      slices.all.length > 1 &&
        choice(
          "Slice",
          slices.all.map((one) => [one, String(one)]),
          z,
          (one) => change({ task, slice: one }),
        ),
      pictureKey(),
    ),
    h(
      "div",
      { class: "cards" },
      series.map((_, number) => card(series, number, (picture) => picture.entry || "Image and truth")),
    ),
    without.length > 0 &&
      h(
        "p",
        { class: "hint" },
        z === undefined
          ? `No pictures of ${without.join(", ")} on ${task}.`
          : `No picture of slice ${z}: ${without.join(", ")}.`,
      ),
    leftOut(album),
  );
}

function figures(board) {
  return (
    board.figures.length > 0 &&
    section(
      "figures",
      "Diagrams",
      h(
        "div",
        { class: "figures" },
        board.figures.map((figure) => {
          const large = () => openDialog("sheet", figure.title, h("img", { src: figure.src, alt: figure.title }));
          return h(
            "figure",
            { class: "diagram" },
            h(
              "button",
              { type: "button", click: large, "aria-label": `Enlarge: ${figure.title}` },
              h("img", { src: figure.src, alt: figure.title }),
            ),
            h("figcaption", {}, figure.title),
          );
        }),
      ),
    )
  );
}
