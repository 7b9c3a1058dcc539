"use strict";
// Slices: decoded when they are looked at, the last ones kept.

const ABOUT = JSON.parse(document.getElementById("data").textContent);
const OVERVIEW = JSON.parse(document.getElementById("overview").textContent);
const [ROWS, COLUMNS] = ABOUT.shown;
/** Decoded slices that are kept: about 10 to 20 MB each at 1024 x 1024. */
const MOST_KEPT = 8;
const kept = new Map();

function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** A plane of whole numbers: inflated, each row added to the one above, byte by byte. */
async function planeOf({ bits, data }) {
  const packed = new Blob([bytesOf(data)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(packed).arrayBuffer());
  const stride = (COLUMNS * bits) / 8;
  for (let i = stride; i < bytes.length; i++) bytes[i] += bytes[i - stride];
  return bits === 8 ? bytes : new Uint16Array(bytes.buffer);
}

async function decode(number) {
  const record = JSON.parse(document.getElementById(`slice-${number}`).textContent);
  const slice = { ...record, points: record.points ?? [], ids: record.instances?.ids ?? [] };
  const names = ["prediction", "truth", "probability", "instances"].filter((name) => name in record);
  const jpeg = new Blob([bytesOf(record.image)], { type: "image/jpeg" });
  const [bitmap, ...planes] = await Promise.all([
    createImageBitmap(jpeg),
    ...names.map((name) => planeOf(record[name])),
  ]);
  names.forEach((name, at) => (slice[name] = planes[at]));
  return { ...slice, image: bitmap };
}

/** A slice by its place in the page, as a promise; the ones asked for last stay decoded. */
function load(number) {
  const slice = kept.get(number) ?? decode(number);
  kept.delete(number);
  kept.set(number, slice);
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  return slice;
}
