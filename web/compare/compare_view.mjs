/**
 * Plays a comparison: two of its videos under a wipe that follows the pointer, or all beside each other. All of them are
 * cells of one film, so that they cannot come out of step. It knows nothing of ComfyUI.
 */

import { button, element, freshContext, pixelRatio, pointIn } from "../editor/elements.mjs";
import { fitted, shareAcross } from "./fitting.mjs";
import { STYLE } from "./style.mjs";

const MIDDLE = 1;
const WIPE = "wipe";
const GRID = "grid";
const HANDLE = 9; // px, radius
const IDLE = "Run the node to compare the videos.";

export class CompareView {
  #abort = new AbortController();
  #cells = [];
  #request = 0;
  #observer;

  /** @param {{forward?: (event: Event) => void}} host gets the wheel and the middle button, which are the graph's */
  constructor({ forward } = {}) {
    const { signal } = this.#abort;
    this.mode = WIPE;
    this.split = 0.5; // share of the picture's width that shows the first video
    this.video = element("video", { loop: true, playsinline: true, preload: "auto" });
    this.video.muted = true;
    this.canvas = element("canvas", { "aria-label": "The videos under a wipe" });
    this.stage = element("div", { class: "t2v-compare-stage" }, this.canvas);
    this.play = button("▶", "Play or stop", () => this.toggle());
    this.range = element("input", { type: "range", min: 0, max: 1, step: "any", value: 0, "aria-label": "Time" });
    this.modes = [WIPE, GRID].map((mode) => button(mode === WIPE ? "Wipe" : "Grid", `Show as ${mode}`, () => this.show(mode)));
    this.choices = ["Left", "Right"].map((side) => element("select", { "aria-label": `${side} of the wipe` }));
    this.words = element("span", { role: "status", text: IDLE });
    this.element = element("div", { class: "t2v-compare widget-expands", role: "group", "aria-label": "Comparison" },
      element("style", { text: STYLE }), this.stage,
      element("div", { class: "t2v-compare-row" }, this.play, this.range, ...this.choices, ...this.modes), this.words);
    this.#listen(signal, forward);
    this.#observer = new ResizeObserver(() => this.redraw());
    this.#observer.observe(this.stage);
    this.show(WIPE);
  }

  get disposed() {
    return this.#abort.signal.aborted;
  }

  /** @param {string} address of the film  @param {{label, x, y, width, height}[]} cells of it, px */
  load(address, cells) {
    this.#cells = cells;
    const kept = this.choices.map((choice) => choice.value);
    for (const [side, choice] of this.choices.entries()) {
      choice.replaceChildren(...cells.map((cell, at) => element("option", { value: at, text: cell.label })));
      choice.value = cells.length > kept[side] && kept[side] !== "" ? kept[side] : String(side);
    }
    if (this.video.getAttribute("src") !== address) {
      this.video.src = address;
      this.video.play().catch(() => {}); // a page may not be allowed to; the button is there
    }
    this.show(this.mode);
  }

  show(mode) {
    this.mode = mode;
    for (const choice of this.choices) choice.hidden = mode !== WIPE || this.#cells.length < 3;
    for (const [at, name] of [WIPE, GRID].entries()) this.modes[at].setAttribute("aria-pressed", String(mode === name));
    this.redraw();
  }

  toggle() {
    if (this.video.paused) this.video.play().catch(() => {});
    else this.video.pause();
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

  redraw() {
    if (this.#request !== 0 || this.disposed) return;
    this.#request = requestAnimationFrame(() => {
      this.#request = 0;
      this.draw();
      if (!this.video.paused && this.element.isConnected) this.redraw();
    });
  }

  draw() {
    const { video, stage, range } = this;
    this.play.textContent = video.paused ? "▶" : "■";
    if (video.duration > 0 && document.activeElement !== range) range.value = String(video.currentTime / video.duration);
    const [width, height] = [stage.clientWidth, stage.clientHeight];
    const context = freshContext(this.canvas, width, height, pixelRatio(stage));
    if (this.#cells.length === 0 || !(video.videoWidth > 0)) return;
    this.words.textContent = this.mode === WIPE ? "Move the pointer over the picture to wipe, click to play or stop." : "Click to play or stop.";
    if (this.mode === GRID) {
      const at = fitted(video.videoWidth, video.videoHeight, width, height);
      context.drawImage(video, at.x, at.y, at.width, at.height);
      return;
    }
    const [left, right] = this.choices.map((choice) => this.#cells[Number(choice.value)]);
    const at = fitted(left.width, left.height, width, height);
    const edge = at.x + this.split * at.width;
    this.#half(context, left, at, 0, edge);
    this.#half(context, right, at, edge, width);
    this.#divide(context, left.label, right.label, at, edge);
  }

  /** A cell at its place, as far as it lies between two edges. */
  #half(context, cell, at, from, to) {
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, this.stage.clientHeight);
    context.clip();
    context.drawImage(this.video, cell.x, cell.y, cell.width, cell.height, at.x, at.y, at.width, at.height);
    context.restore();
  }

  #divide(context, left, right, at, edge) {
    const bottom = at.y + at.height;
    context.fillStyle = "#ffffff";
    context.fillRect(edge - 1, at.y, 2, at.height);
    context.beginPath();
    context.arc(edge, at.y + at.height / 2, HANDLE, 0, 2 * Math.PI);
    context.fill();
    context.font = "600 12px system-ui, sans-serif";
    context.shadowColor = "#000000";
    context.shadowBlur = 4;
    for (const [label, x, align, room] of [[left, at.x + 10, "left", edge - at.x], [right, at.x + at.width - 10, "right", at.x + at.width - edge]]) {
      if (context.measureText(label).width + 20 > room) continue;
      context.textAlign = align;
      for (let again = 0; again < 2; again += 1) context.fillText(label, x, bottom - 10); // twice, for a darker shadow
    }
    context.shadowBlur = 0;
  }

  #listen(signal, forward) {
    const { stage, video, range } = this;
    const redraw = () => this.redraw();
    for (const name of ["timeupdate", "seeked", "loadeddata", "play", "pause"]) video.addEventListener(name, redraw, { signal });
    video.addEventListener("error", () => {
      if (!video.hasAttribute("src")) return;
      this.#cells = [];
      this.words.textContent = "The comparison is gone; run the node again.";
      this.redraw();
    }, { signal });
    stage.addEventListener("pointermove", (event) => {
      if (this.#cells.length === 0 || event.buttons === 4) return;
      const { width, height } = this.#cells[0];
      this.split = shareAcross(fitted(width, height, stage.clientWidth, stage.clientHeight), pointIn(stage, event).x);
      this.redraw();
    }, { signal });
    stage.addEventListener("click", () => this.toggle(), { signal });
    for (const choice of this.choices) choice.addEventListener("change", redraw, { signal });
    range.addEventListener("input", () => {
      video.pause();
      if (video.duration > 0) video.currentTime = Number(range.value) * video.duration;
    }, { signal });
    range.addEventListener("change", () => range.blur(), { signal });
    for (const name of ["pointerdown", "pointermove", "pointerup"]) {
      this.element.addEventListener(name, (event) => {
        if (event.button === MIDDLE || event.buttons === 4) forward?.(event);
        else event.stopPropagation();
      }, { signal });
    }
    this.element.addEventListener("wheel", (event) => forward?.(event), { signal });
  }
}
