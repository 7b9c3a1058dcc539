// Seconds that a person worked: not those of a hidden page, and of a pause only the first few.

export class Clock {
  /** `idle`: seconds without a key, a click or a movement after which time stands still. */
  constructor(idle) {
    this.idle = idle * 1000;
    this.restart();
    for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"])
      addEventListener(kind, () => this.tick(), { passive: true });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.tick();
      else this.last = performance.now();
    });
  }

  restart() {
    this.worked = 0;
    this.last = performance.now();
  }

  tick() {
    const now = performance.now();
    this.worked += Math.min(now - this.last, this.idle);
    this.last = now;
  }

  seconds() {
    this.tick();
    return Math.round(this.worked) / 1000;
  }
}
