/**
 * Plays a comparison: two of its videos under a wipe that follows the pointer, or all beside each other. All of them are
 * cells of one film, so that they cannot come out of step. It knows nothing of ComfyUI.
 */

import { button, element, freshContext, pixelRatio, pointIn } from "../editor/elements.mjs";
import { FilmPlayer } from "../film_player.mjs";
import { fitted, shareAcross } from "./fitting.mjs";
import { STYLE } from "./style.mjs";

const WIPE = "wipe";
const GRID = "grid";
const HANDLE = 9; // px, radius
const IDLE = "Run the node to compare the videos.";

export class CompareView extends FilmPlayer {
  #cells = [];
  showsFrames = true;

  /** @param {{forward?: (event: Event) => void}} host gets the wheel and the middle button, which are the graph's */
  constructor({ forward } = {}) {
    super();
    this.mode = WIPE;
    this.split = 0.5; // share of the picture's width that shows the first video
    this.canvas = element("canvas", { "aria-label": "The videos under a wipe" });
    this.modes = [WIPE, GRID].map((mode) => button(mode === WIPE ? "Wipe" : "Grid", `Show as ${mode}`, () => this.show(mode)));
    this.choices = ["Left", "Right"].map((side) => element("select", { "aria-label": `${side} of the wipe` }));
    this.words.textContent = IDLE;
    const stage = element("div", { class: "t2v-compare-stage" }, this.canvas);
    this.begin(stage, element("div", { class: "t2v-compare widget-expands", role: "group", "aria-label": "Comparison" },
      element("style", { text: STYLE }), stage,
      element("div", { class: "t2v-compare-row" }, this.play, this.range, ...this.choices, ...this.modes), this.words), forward);
    this.#listen();
    this.show(WIPE);
  }

  /** @param {string} address of the film  @param {{label, x, y, width, height}[]} cells of it, px */
  load(address, cells) {
    this.#cells = cells;
    const kept = this.choices.map((choice) => choice.value);
    for (const [side, choice] of this.choices.entries()) {
      choice.replaceChildren(...cells.map((cell, at) => element("option", { value: at, text: cell.label })));
      choice.value = cells.length > kept[side] && kept[side] !== "" ? kept[side] : String(side);
    }
    this.open(address);
    this.show(this.mode);
  }

  show(mode) {
    this.mode = mode;
    for (const choice of this.choices) choice.hidden = mode !== WIPE || this.#cells.length < 3;
    for (const [at, name] of [WIPE, GRID].entries()) this.modes[at].setAttribute("aria-pressed", String(mode === name));
    this.redraw();
  }

  draw() {
    const { video, stage } = this;
    this.drawTime();
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

  #listen() {
    const { stage, video, signal } = this;
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
    for (const choice of this.choices) choice.addEventListener("change", () => this.redraw(), { signal });
  }
}
