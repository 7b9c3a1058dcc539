// The stage: image and overlay on two canvases, zoom, pan, and the scale bar.

const stage = document.getElementById("stage");
const [imageCanvas, overlayCanvas] = ["image", "overlay"].map((id) => document.getElementById(id));
/** Zoom 1 shows all of the slice; x and y are the middle of the view, as parts of the slice. */
const view = { zoom: 1, x: 0.5, y: 0.5 };
const MOST_ZOOM = 64;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** CSS pixels a slice pixel takes, and where the slice's corner lies on the stage. */
function placement() {
  const { clientWidth: width, clientHeight: height } = stage;
  const scale = Math.min(width / COLUMNS, height / ROWS) * view.zoom;
  return { scale, left: width / 2 - view.x * COLUMNS * scale, top: height / 2 - view.y * ROWS * scale };
}

/** The slice pixel under a place of the window, with fractions. */
function pixelAt(clientX, clientY) {
  const box = stage.getBoundingClientRect();
  const { scale, left, top } = placement();
  return { x: (clientX - box.left - left) / scale, y: (clientY - box.top - top) / scale };
}

/** Zooms so that what lies under a place of the window stays there. */
function zoomAt(factor, clientX, clientY) {
  const before = pixelAt(clientX, clientY);
  view.zoom = clamp(view.zoom * factor, 1, MOST_ZOOM);
  const after = pixelAt(clientX, clientY);
  move((before.x - after.x) / COLUMNS, (before.y - after.y) / ROWS);
}

/** Moves the middle of the view by parts of the slice, never past what there is. */
function move(dx, dy) {
  const { scale } = placement();
  const room = [stage.clientWidth / scale / COLUMNS / 2, stage.clientHeight / scale / ROWS / 2];
  [view.x, view.y] = [view.x + dx, view.y + dy].map((at, axis) =>
    room[axis] >= 0.5 ? 0.5 : clamp(at, room[axis], 1 - room[axis]),
  );
  stage.classList.toggle("near", view.zoom > 1);
}

/** A cleared canvas in slice pixels. */
function prepared(canvas, { scale, left, top }) {
  const dots = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(stage.clientWidth * dots), Math.round(stage.clientHeight * dots)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.setTransform(dots * scale, 0, 0, dots * scale, dots * left, dots * top);
  pen.imageSmoothingEnabled = dots * scale < 3;
  pen.imageSmoothingQuality = "high";
  return pen;
}

/** Draws a slice with the layers that are on; `strength` is the opacity of the filled ones. */
function draw(slice, on, strength) {
  const place = placement();
  prepared(imageCanvas, place).drawImage(slice.image, 0, 0);
  const pen = prepared(overlayCanvas, place);
  pen.globalAlpha = strength;
  pen.imageSmoothingEnabled = place.scale < 1;
  for (const name of Object.keys(FILLS)) if (on.has(name)) pen.drawImage(filled(slice, name), 0, 0);
  pen.globalAlpha = 1;
  // The truth wider and below, so that it shows on both sides of a prediction that runs along it.
  if (on.has("truth")) stroke(pen, outline(slice, "truth"), CYAN, 3, place.scale);
  if (on.has("prediction")) stroke(pen, outline(slice, "prediction"), YELLOW, 1.6, place.scale);
  if (on.has("points")) slice.points.forEach((point) => mark(pen, point, place.scale));
  drawBar(place.scale);
}

function stroke(pen, path, colour, width, scale) {
  Object.assign(pen, { strokeStyle: colour, lineWidth: width / scale, lineCap: "square" });
  pen.stroke(path);
}

/** A point: 0 is the centre of the window's first pixel. */
function mark(pen, [x, y], scale) {
  const circle = (radius, colour) => {
    pen.beginPath();
    pen.arc((x + 0.5) / ABOUT.factor, (y + 0.5) / ABOUT.factor, radius / scale, 0, 2 * Math.PI);
    pen.fillStyle = colour;
    pen.fill();
  };
  [
    [5.5, "#000"],
    [4.5, "#fff"],
    [3, PINK],
  ].forEach(([radius, colour]) => circle(radius, colour));
}

/** The longest of 1, 2, 5, 10, ... that takes at most a quarter of the stage. */
function drawBar(scale) {
  const unit = ABOUT.voxel ? ABOUT.voxel[2] : 1;
  const most = ((stage.clientWidth / 4) * ABOUT.factor * unit) / scale;
  const ten = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((n) => n * ten).find((n) => n <= most) ?? ten;
  const bar = document.getElementById("bar");
  bar.style.setProperty("--length", `${(length / unit / ABOUT.factor) * scale}px`);
  const text = ABOUT.voxel ? (length >= 1000 ? `${length / 1000} µm` : `${length} nm`) : `${length} px`;
  bar.querySelector("span").textContent = text;
}

/** The stage takes the slice's proportions as far as the window allows. */
stage.style.aspectRatio = `${COLUMNS} / ${ROWS}`;
