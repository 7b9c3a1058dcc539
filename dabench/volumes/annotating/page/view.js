// What part of an image is shown: the same in all pictures, moved by wheel, drag, two fingers and keys.

const CLOSEST = 24; // pixels of the image across the picture at the largest zoom
const STILL = 5; // pixels of the screen that a click may move

export class View {
  /** `changed` is called after each change. */
  constructor(changed) {
    this.pictures = new Set();
    this.size([0, 0, 1, 1]);
    this.changed = changed;
  }

  /** What can be shown, [x, y, width, height] of the image and maybe beyond it; `home` is the part that is, at first. */
  size(all, home = all) {
    const [left, top, width, height] = all;
    Object.assign(this, { left, top, width, height, home });
    this.fit();
  }

  fit() {
    const [x, y, width, height] = this.home;
    this.scale = Math.min(this.width / width, this.height / height);
    this.x = x + (width - this.width / this.scale) / 2;
    this.y = y + (height - this.height / this.scale) / 2;
    this.draw();
  }

  get near() {
    return this.scale > 1;
  }

  /** Larger (factor > 1) or smaller, around a place of the image or the middle. */
  zoom(factor, place = this.middle()) {
    const closest = Math.max(1, Math.max(this.width, this.height) / CLOSEST);
    const scale = Math.min(closest, Math.max(1, this.scale * factor));
    const kept = this.scale / scale;
    this.x = place.x - (place.x - this.x) * kept;
    this.y = place.y - (place.y - this.y) * kept;
    this.scale = scale;
    this.draw();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.draw();
  }

  middle() {
    return { x: this.x + this.width / this.scale / 2, y: this.y + this.height / this.scale / 2 };
  }

  draw() {
    const [width, height] = [this.width / this.scale, this.height / this.scale];
    this.x = Math.min(Math.max(this.x, this.left), this.left + this.width - width);
    this.y = Math.min(Math.max(this.y, this.top), this.top + this.height - height);
    const box = `${this.x} ${this.y} ${width} ${height}`;
    for (const picture of this.pictures) {
      picture.setAttribute("viewBox", box);
      picture.classList.toggle("near", this.near);
    }
    this.changed?.(this);
  }

  /** Show this view in these pictures alone. */
  attach(...pictures) {
    this.pictures = new Set(pictures);
    for (const picture of pictures) if (!picture.dataset.moves) this.listen(picture);
    this.draw();
  }

  listen(picture) {
    picture.dataset.moves = "true";
    const fingers = new Map();
    let moved = 0;
    picture.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400), place(picture, event));
      },
      { passive: false },
    );
    picture.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, event);
      if (fingers.size === 1) moved = 0;
    });
    picture.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      moved += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
      if (moved < STILL) return;
      picture.setPointerCapture(event.pointerId);
      const [from, to] = [place(picture, before), place(picture, event)];
      const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
      if (other) {
        const still = place(picture, other);
        this.zoom(apart(to, still) / Math.max(apart(from, still), 1e-6), still);
      } else this.pan(from.x - to.x, from.y - to.y);
      fingers.set(event.pointerId, event);
    });
    for (const kind of ["pointerup", "pointercancel"])
      picture.addEventListener(kind, (event) => fingers.delete(event.pointerId));
    picture.addEventListener(
      "click",
      (event) => {
        if (moved >= STILL) {
          // the end of a drag is no click
          event.stopPropagation();
          event.preventDefault();
        }
        moved = 0;
      },
      { capture: true },
    );
  }
}

const apart = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

/** Where on the image an event happened. */
export function place(picture, event) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
}
