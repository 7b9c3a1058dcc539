// Layers as colours: fills pixel by pixel, contours as paths that stay thin at any zoom.

const YELLOW = "#ffd700";
const CYAN = "#00e5ff";
const PINK = "#ff4fa3";
/** True positive, false negative, false positive, ignored. */
const ERRORS = { hit: [0, 200, 80], missed: [230, 40, 40], invented: [50, 90, 255], ignored: [150, 150, 150] };
const HEAT = [
  [20, 10, 60],
  [110, 20, 120],
  [210, 60, 75],
  [250, 150, 30],
  [252, 250, 170],
];
const rgb = ([r, g, b], alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha})`;

/** Colour and opacity of 256 levels of probability: nothing at 0. */
const HEAT_LEVELS = Array.from({ length: 256 }, (_, level) => {
  const at = (level / 255) * (HEAT.length - 1);
  const [low, high] = [HEAT[Math.floor(at)], HEAT[Math.ceil(at)]];
  const colour = low.map((value, c) => value + (high[c] - value) * (at % 1));
  return [...colour, Math.min(1, level / 64)];
});

/** A bright colour for an id, the same on every slice. */
function colourOf(id) {
  let hash = 2166136261;
  for (const letter of id) hash = Math.imul(hash ^ letter.charCodeAt(0), 16777619) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 15), 2246822519) >>> 0;
  const hue = hash % 360;
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    return 255 * (0.58 - 0.42 * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return [part(0), part(8), part(4)];
}

/** Numbers 0 to 5 for what a pixel is: nothing, made up, missed, found, ignored (twice). */
function errorsOf({ prediction, truth }) {
  const found = new Uint8Array(prediction.length);
  for (let at = 0; at < found.length; at++) found[at] = 2 * truth[at] + prediction[at];
  return found;
}

/** What each filled layer is made of: numbers by pixel, and the colour [r, g, b, alpha] of each number. */
const FILLS = {
  heat: ({ probability }) => [probability, HEAT_LEVELS],
  errors: (slice) => {
    const { hit, missed, invented, ignored } = ERRORS;
    return [errorsOf(slice), [[0, 0, 0, 0], ...[invented, missed, hit, ignored, ignored].map((c) => [...c, 1])]];
  },
  instances: ({ instances, ids }) => [instances, [[0, 0, 0, 0], ...ids.map((id) => [...colourOf(id), 1])]],
};

/** A filled layer as a picture of the slice's size; made once a slice. */
function filled(slice, name) {
  slice.fills ??= {};
  return (slice.fills[name] ??= picture(...FILLS[name](slice)));
}

function picture(numbers, colours) {
  const bytes = new Uint8ClampedArray(4 * colours.length);
  colours.forEach(([r, g, b, alpha], at) => bytes.set([r, g, b, 255 * alpha], 4 * at));
  const table = new Uint32Array(bytes.buffer);
  const image = new ImageData(COLUMNS, ROWS);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < pixels.length; at++) pixels[at] = table[numbers[at]];
  const canvas = new OffscreenCanvas(COLUMNS, ROWS);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/**
 * The lines between pixels of different objects, in pixels of the slice; `ids` is 0 outside of objects.
 * The border of the slice is no edge.
 */
function contour(ids) {
  const path = new Path2D();
  const line = (x, y, toX, toY) => {
    path.moveTo(x, y);
    path.lineTo(toX, toY);
  };
  // Where the line that is being followed down each column began; ROWS for none.
  const down = new Uint32Array(COLUMNS).fill(ROWS);
  for (let y = 0; y <= ROWS; y++) {
    let along = -1;
    for (let x = 0, at = y * COLUMNS; x < COLUMNS; x++, at++) {
      const above = y > 0 && y < ROWS && ids[at] !== ids[at - COLUMNS];
      if (above && along < 0) along = x;
      if (!above && along >= 0) {
        line(along, y, x, y);
        along = -1;
      }
      const left = x > 0 && y < ROWS && ids[at] !== ids[at - 1];
      if (left && down[x] === ROWS) down[x] = y;
      if (!left && down[x] < ROWS) {
        line(x, down[x], x, y);
        down[x] = ROWS;
      }
    }
    if (along >= 0) line(along, y, COLUMNS, y);
  }
  return path;
}

function onlyOnes(labels) {
  const ones = new Uint8Array(labels.length);
  for (let at = 0; at < ones.length; at++) ones[at] = labels[at] === 1;
  return ones;
}

/** Contours of the prediction (of each object, where objects are known) and of the truth; made once a slice. */
const OUTLINES = {
  prediction: (slice) => contour(slice.instances ?? slice.prediction),
  truth: (slice) => contour(onlyOnes(slice.truth)),
};

function outline(slice, name) {
  slice.paths ??= {};
  return (slice.paths[name] ??= OUTLINES[name](slice));
}
