/** A film in a node, with its button, its time line and a line of words: what the players of the pack share. */

import { button, element } from "./editor/elements.mjs";

const MIDDLE = 1;
const CHANGES = ["timeupdate", "seeked", "loadeddata", "play", "pause"];

/** A subclass brings `draw()`, and calls `begin` with what it built. */
export class FilmPlayer {
  #abort = new AbortController();
  #request = 0;
  #observer = new ResizeObserver(() => this.redraw());

  showsFrames = false;

  constructor() {
    this.video = element("video", { loop: true, playsinline: true, preload: "auto" });
    this.video.muted = true;
    this.play = button("▶", "Play or stop", () => this.toggle());
    this.range = element("input", { type: "range", min: 0, max: 1, step: "any", value: 0, "aria-label": "Time" });
    this.words = element("span", { role: "status" });
  }

  /**
   * @param {HTMLElement} stage where the film shows  @param {HTMLElement} whole the player
   * @param {(event: Event) => void} [forward] gets the wheel and the middle button, which are the graph's
   */
  begin(stage, whole, forward) {
    Object.assign(this, { stage, element: whole });
    const { video, range, signal } = this;
    for (const name of CHANGES) video.addEventListener(name, () => this.redraw(), { signal });
    stage.addEventListener("click", () => this.toggle(), { signal });
    range.addEventListener("input", () => {
      video.pause();
      if (video.duration > 0) video.currentTime = Number(range.value) * video.duration;
    }, { signal });
    range.addEventListener("change", () => range.blur(), { signal });
    for (const name of ["pointerdown", "pointermove", "pointerup"]) {
      whole.addEventListener(name, (event) => {
        if (event.button === MIDDLE || event.buttons === 4) forward?.(event);
        else event.stopPropagation();
      }, { signal });
    }
    whole.addEventListener("wheel", (event) => forward?.(event), { signal });
    this.#observer.observe(stage);
  }

  /** Ends all listening when the player is disposed. */
  get signal() {
    return this.#abort.signal;
  }

  get disposed() {
    return this.#abort.signal.aborted;
  }

  /** @param {string} address of the film  @returns {boolean} whether it is another one than before */
  open(address) {
    if (this.video.getAttribute("src") === address) return false;
    this.video.src = address;
    this.video.play().catch(() => {}); // a page may not be allowed to; the button is there
    return true;
  }

  toggle() {
    if (this.video.paused) this.video.play().catch(() => {});
    else this.video.pause();
  }

  /** Soon, once; while the film plays again and again where a canvas shows it (`showsFrames`). */
  redraw() {
    if (this.#request !== 0 || this.disposed) return;
    this.#request = requestAnimationFrame(() => {
      this.#request = 0;
      this.draw();
      if (this.showsFrames && !this.video.paused && this.element.isConnected) this.redraw();
    });
  }

  /** Button and time line as the film stands. */
  drawTime() {
    const { duration, currentTime, paused } = this.video;
    this.play.textContent = paused ? "▶" : "■";
    if (duration > 0 && document.activeElement !== this.range) this.range.value = String(currentTime / duration);
  }

  dispose() {
    this.#abort.abort();
    this.#observer.disconnect();
    cancelAnimationFrame(this.#request);
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
    this.element.remove();
  }
}
