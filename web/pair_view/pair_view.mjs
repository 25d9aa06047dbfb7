/**
 * Plays the preview of a re-camera and, under the pointer, shows one track in both views. It knows nothing of ComfyUI:
 * who embeds it hands in the video's address and, where there are some, the pairs of `math/pairs.mjs`.
 */

import { button, element, freshContext, pixelRatio, pointIn } from "../editor/elements.mjs";
import { COLOURS } from "../editor/style.mjs";
import { FilmPlayer } from "../film_player.mjs";
import { frameAt, nearestTrack, placeIn, seenIn } from "../math/pairs.mjs";
import { PARTS, isOn, partOf, shownAt, viewAt, viewsOf } from "./picture_layout.mjs";
import { STYLE } from "./style.mjs";

const REACH = 0.05; // of a view's height

export class PairView extends FilmPlayer {
  #pairs = null;
  #pointer = null; // where the pointer is on the picture, CSS pixels

  /** @param {{forward?: (event: Event) => void}} host gets the wheel and the middle button, which are the graph's */
  constructor({ forward } = {}) {
    super();
    this.over = element("canvas", { "aria-hidden": "true" });
    this.part = "views";
    const tabs = Object.entries(PARTS).map(([part, name]) => button(name, `Show ${name.toLowerCase()}`, () => this.choose(part), { "data-part": part }));
    this.tabs = element("div", { class: "t2v-pair-row t2v-pair-tabs", role: "toolbar", "aria-label": "What is shown" }, ...tabs);
    this.words.textContent = this.#hint();
    const stage = element("div", { class: "t2v-pair-stage" }, this.video, this.over);
    this.begin(stage, element("div", { class: "t2v-pair widget-expands", role: "group", "aria-label": "Both views" },
      element("style", { text: STYLE }), this.tabs, stage,
      element("div", { class: "t2v-pair-row" }, this.play, this.range), this.words), forward);
    this.#listen();
  }

  /** @param {string} address of the video */
  load(address) {
    if (!this.open(address)) return;
    this.#pairs = null;
    this.redraw();
  }

  /** Of both cameras' pictures; null before a run brought tracks. */
  get size() {
    return this.#pairs?.size ?? null;
  }

  set pairs(pairs) {
    this.#pairs = pairs;
    this.redraw();
  }

  /** @param {string} part of PARTS */
  choose(part) {
    this.part = part;
    this.redraw();
  }

  /** @returns {number|null} the track under the pointer */
  draw() {
    const { video, stage } = this;
    const { duration, currentTime } = video;
    this.drawTime();
    const context = freshContext(this.over, stage.clientWidth, stage.clientHeight, pixelRatio(stage));
    this.words.textContent = this.#hint();
    for (const tab of this.tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.part === this.part));
    if (!(video.videoWidth > 0)) return null;
    const box = partOf(this.part, video, this.size);
    const shown = shownAt(box, stage);
    this.#place(box, shown);
    if (this.#pairs === null || this.#pointer === null || !isOn(box, shown, this.#pointer)) return null;
    const views = viewsOf(this.#pairs.size);
    const at = viewAt(views, shown, this.#pointer);
    if (at === null) return null;
    const frame = frameAt(this.#pairs, duration > 0 ? currentTime / duration : 0);
    const track = nearestTrack(this.#pairs, at.view, frame, at.x, at.y, REACH);
    if (track !== null) this.#mark(context, views, shown, frame, track);
    return track;
  }

  /** The video where the chosen part of it fills the stage, and the rest of it out of sight. */
  #place(box, { scale, x, y }) {
    const { video } = this;
    const right = (video.videoWidth - box.x - box.width) * scale;
    const below = (video.videoHeight - box.y - box.height) * scale;
    Object.assign(video.style, {
      left: `${x}px`, top: `${y}px`, width: `${video.videoWidth * scale}px`, height: `${video.videoHeight * scale}px`,
      clipPath: `inset(${box.y * scale}px ${right}px ${below}px ${box.x * scale}px)`,
    });
  }

  #hint() {
    if (!this.video.hasAttribute("src")) return "Run the node to see both views.";
    return this.#pairs ? "Point at a track to find it in the other view." : "";
  }

  #mark(context, views, shown, frame, track) {
    const [r, g, b] = this.#pairs.colors.subarray(3 * track, 3 * track + 3);
    const places = ["source", "target"].map((view) => {
      const share = placeIn(this.#pairs, view, frame, track);
      const box = views[view];
      if (share === null) return null;
      return { x: shown.x + (box.x + share[0] * box.width) * shown.scale, y: shown.y + (box.y + share[1] * box.height) * shown.scale };
    });
    const [source, target] = places;
    context.lineWidth = 2.5;
    if (source && target) {
      context.strokeStyle = `rgba(${r}, ${g}, ${b}, 0.8)`;
      context.beginPath();
      context.moveTo(source.x, source.y);
      context.lineTo(target.x, target.y);
      context.stroke();
    }
    for (const place of places.filter(Boolean)) {
      for (const [radius, colour] of [[11, "#000000"], [9, COLOURS.picked]]) {
        context.strokeStyle = colour;
        context.beginPath();
        context.arc(place.x, place.y, radius, 0, 2 * Math.PI);
        context.stroke();
      }
    }
    const hidden = seenIn(this.#pairs, frame, track) ? "" : ", hidden in the source";
    const gone = source === null ? ", outside the source" : target === null ? ", outside the new view" : "";
    this.words.textContent = `Track ${this.#pairs.tracks[track]}${hidden}${gone}`;
  }

  #listen() {
    const { stage, video, signal } = this;
    video.addEventListener("error", () => (this.words.textContent = "The preview is gone; run the node again."), { signal });
    stage.addEventListener("pointermove", (event) => {
      this.#pointer = pointIn(stage, event);
      this.redraw();
    }, { signal });
    stage.addEventListener("pointerleave", () => {
      this.#pointer = null;
      this.redraw();
    }, { signal });
  }
}
