/**
 * Plays the preview of a re-camera and, under the pointer, shows one track in both views. It knows nothing of ComfyUI:
 * who embeds it hands in the video's address and, where there are some, the pairs of `math/pairs.mjs`.
 */

import { button, element, freshContext, pixelRatio, pointIn } from "../editor/elements.mjs";
import { COLOURS } from "../editor/style.mjs";
import { frameAt, nearestTrack, placeIn, seenIn } from "../math/pairs.mjs";
import { PARTS, isOn, partOf, shownAt, viewAt, viewsOf } from "./picture_layout.mjs";
import { STYLE } from "./style.mjs";

const REACH = 0.05; // of a view's height
const MIDDLE = 1;

export class PairView {
  #abort = new AbortController();
  #pairs = null;
  #pointer = null; // where the pointer is on the picture, CSS pixels
  #request = 0;
  #observer;

  /** @param {{forward?: (event: Event) => void}} host gets the wheel and the middle button, which are the graph's */
  constructor({ forward } = {}) {
    const { signal } = this.#abort;
    this.video = element("video", { loop: true, playsinline: true, preload: "auto" });
    this.video.muted = true;
    this.over = element("canvas", { "aria-hidden": "true" });
    this.stage = element("div", { class: "t2v-pair-stage" }, this.video, this.over);
    this.part = "views";
    const tabs = Object.entries(PARTS).map(([part, name]) => button(name, `Show ${name.toLowerCase()}`, () => this.choose(part), { "data-part": part }));
    this.tabs = element("div", { class: "t2v-pair-row t2v-pair-tabs", role: "toolbar", "aria-label": "What is shown" }, ...tabs);
    this.play = button("▶", "Play or stop", () => this.toggle());
    this.range = element("input", { type: "range", min: 0, max: 1, step: "any", value: 0, "aria-label": "Time" });
    this.words = element("span", { role: "status", text: "Run the node to see both views." });
    this.element = element("div", { class: "t2v-pair widget-expands", role: "group", "aria-label": "Both views" },
      element("style", { text: STYLE }), this.tabs, this.stage,
      element("div", { class: "t2v-pair-row" }, this.play, this.range), this.words);
    this.#listen(signal, forward);
    this.#observer = new ResizeObserver(() => this.redraw());
    this.#observer.observe(this.stage);
  }

  get disposed() {
    return this.#abort.signal.aborted;
  }

  /** @param {string} address of the video */
  load(address) {
    if (this.video.getAttribute("src") === address) return;
    this.#pairs = null;
    this.video.src = address;
    this.video.play().catch(() => {}); // a page may not be allowed to; the button is there
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
    });
  }

  /** @returns {number|null} the track under the pointer */
  draw() {
    const { video, stage } = this;
    const { duration, currentTime } = video;
    this.play.textContent = video.paused ? "▶" : "■";
    if (duration > 0 && document.activeElement !== this.range) this.range.value = String(currentTime / duration);
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

  #listen(signal, forward) {
    const { stage, video, range } = this;
    const redraw = () => this.redraw();
    for (const name of ["timeupdate", "seeked", "loadeddata", "play", "pause"]) video.addEventListener(name, redraw, { signal });
    video.addEventListener("error", () => (this.words.textContent = "The preview is gone; run the node again."), { signal });
    stage.addEventListener("pointermove", (event) => {
      this.#pointer = pointIn(stage, event);
      this.redraw();
    }, { signal });
    stage.addEventListener("pointerleave", () => {
      this.#pointer = null;
      this.redraw();
    }, { signal });
    stage.addEventListener("click", () => this.toggle(), { signal });
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
