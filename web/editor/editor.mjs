/**
 * The Camera Path Editor: one element, to be put anywhere. It knows nothing of ComfyUI; who embeds it hands in a text,
 * what a run brought, and a `host` with
 *
 *   write(text)        the document's text, after an act of the user
 *   saveView(view)     what is to be found again: viewpoint, frame, selection; after such an act and when focus leaves
 *   forward(event)     a wheel or a pointer that is not the editor's, because the focus is elsewhere
 *   leave()            the user is done here: the focus goes back to what is around
 */

import { changed, parseDocument } from "../math/document.mjs";
import { CameraInput } from "./camera_input.mjs";
import { clipOf } from "./clip.mjs";
import { CoverageWork } from "./coverage.mjs";
import { withBase, withFields, withKeyHere, withOwnDirections, withPreset, withoutKeys } from "./edits.mjs";
import { Focus } from "./focus.mjs";
import { Keyboard } from "./keyboard.mjs";
import { createLayout } from "./layout.mjs";
import { openMenu, openSheet, openText } from "./menus.mjs";
import { OnionSkin } from "./onion_skin.mjs";
import { Painter } from "./painter.mjs";
import { Playback } from "./playback.mjs";
import { pointEntries } from "./point_menu.mjs";
import { Scene, landmarks } from "./scene.mjs";
import { tell } from "./status.mjs";
import { pivotOf } from "./subject.mjs";
import { Store } from "./store.mjs";
import { TimelineInput } from "./timeline_input.mjs";
import { NAMED_VIEWS, firstViewpoint, framing, turned, viewFrom } from "./viewpoint.mjs";
import { WorldInput } from "./world_input.mjs";

const CLOSE = 14; // px within which a click means a point
const NEAR_BY = 60; // px within which a double-click does
const SUBJECTS = {
  auto: "what is near, central or moving",
  ahead: "a point straight ahead",
  point: "the point that you clicked",
};
const PRESET = { name: "orbit_left", amount: 1, active: false };

export class Editor {
  #abort = new AbortController();
  #layout;
  #painter;
  #scene = null;
  #coverage;
  #onion;
  #camera;
  #timeline;
  #keyboard;
  #focus;
  #leave;
  #observer;
  #open = null; // a menu or sheet
  #request = 0;
  #playback;
  #words = "";
  #framed = false; // whether someone chose the viewpoint, or a run did

  viewpoint = firstViewpoint(1);
  preset = { ...PRESET };
  showsPicture = true; // in the new camera's view; its points otherwise
  draws = 0; // frames drawn so far

  /** @param {{write, saveView?, forward?, leave?}} host @param {"auto"|"webgl2"|"2d"} [renderer] of the points */
  constructor(host, renderer = "auto") {
    const { signal } = this.#abort;
    this.store = new Store((text) => [host.saveView?.(this.view), host.write(text)]);
    this.#leave = () => (host.leave ? host.leave() : document.activeElement?.blur());
    this.#layout = createLayout(this);
    this.#painter = new Painter(this.#layout, renderer);
    this.#painter.watchLoss(() => this.redraw(), signal);
    this.#playback = new Playback(this.store);
    this.#coverage = new CoverageWork(this.store, () => this.redraw());
    this.#onion = new OnionSkin(this.#layout.camera);
    this.world = new WorldInput(this, this.#layout.world.pane, signal);
    this.#camera = new CameraInput(this, this.#layout.camera.pane, signal);
    this.#timeline = new TimelineInput(this, this.#layout.timeline, signal);
    this.#keyboard = new Keyboard(this, this.element, signal);
    this.#focus = new Focus(this.element, this.#layout.keys, signal, {
      forward: (event) => host.forward?.(event),
      entered: () => this.redraw(), // perhaps at another zoom of the graph
      left: () => host.saveView?.(this.view),
    });
    this.#observer = this.#watchSize();
    this.store.subscribe(this.#changed);
    this.redraw();
  }

  get element() {
    return this.#layout.root;
  }

  get painter() {
    return this.#painter;
  }

  get disposed() {
    return this.#abort.signal.aborted;
  }

  get playing() {
    return this.#playback.running;
  }

  /** Share of the new view that the clip shows, per frame; null before it is counted. */
  get coverage() {
    return this.#coverage.values;
  }

  focus = () => this.#focus.take();

  // What the embedder calls

  load(text) {
    this.store.load(text);
  }

  /** What a run brought. Nothing is written. @param {{points?, seed?, frames?, meshes?}} result frames: address of the video */
  setResult({ points = null, seed = null, frames = null, meshes = null }) {
    this.#layout.camera.tools.classList.toggle("t2v-hidden", meshes === null && frames === null);
    this.#scene = points && new Scene(points);
    if (frames !== null) this.#onion.load(frames);
    const clip = points ? clipOf(points.source, points.sceneScale) : this.store.clip;
    this.store.setClip(clip, points, seed && parseDocument(seed), meshes);
    if (!this.#framed) this.frameAll();
  }

  get view() {
    const { name, amount } = this.preset;
    const { selection, about } = this.store;
    const frame = this.#playback.end;
    const viewpoint = this.#framed ? this.viewpoint : null;
    return { viewpoint, frame, selection, preset: { name, amount }, about, onion: this.#onion.state, picture: this.showsPicture };
  }

  set view({ viewpoint, frame = 0, selection = [], preset, about, onion, picture }) {
    if (viewpoint) [this.viewpoint, this.#framed] = [viewpoint, true];
    if (preset) this.preset = { ...PRESET, ...preset };
    if (onion && picture !== undefined) this.#onion.set(onion); // before there was a picture, the source frame was always on
    if (picture !== undefined) this.showsPicture = picture;
    if (about) this.store.setAbout(about);
    this.store.setFrame(frame);
    this.store.select(selection);
    this.redraw();
  }

  say(words) {
    this.#words = words;
    this.redraw();
  }

  dispose() {
    this.#abort.abort();
    this.#observer.disconnect();
    this.#keyboard.flight.stop();
    this.#coverage.stop();
    this.#onion.dispose();
    cancelAnimationFrame(this.#request);
    this.#playback.stop();
    this.#painter.dispose();
    this.element.remove();
  }

  // Drawing

  /** Draw once, in the next frame of the screen; many calls are one. */
  redraw() {
    if (this.#request !== 0 || this.#abort.signal.aborted) return;
    this.#request = requestAnimationFrame(() => {
      this.#request = 0;
      this.drawNow();
    });
  }

  drawNow() {
    this.draws += 1;
    const { store, viewpoint } = this;
    this.#painter.draw({
      store,
      viewpoint,
      scene: this.#scene,
      meshes: store.meshes,
      showsPicture: this.showsPicture,
      coverage: this.#coverage.values,
      hover: this.world.hover,
      lock: this.world.lock,
      timelineHover: this.#timeline.hover,
    });
    for (const row of this.#layout.rows) row.refresh(this);
    this.#layout.world.flat.setAttribute("aria-pressed", String(viewpoint.flat));
    this.#onion.refresh(store);
    const { picture } = this.#layout.camera;
    picture.classList.toggle("t2v-hidden", store.meshes === null);
    picture.setAttribute("aria-pressed", String(this.#painter.picture !== null && this.showsPicture));
    tell(this.#layout, store, this.#words);
  }

  /** What the panes show through; the pointer's handlers ask for them. */
  worldLens() {
    return this.#painter.worldLens(this.viewpoint);
  }

  cameraLens() {
    return this.#painter.cameraLens(this.store);
  }

  get focused() {
    return this.#focus.held;
  }

  /** Whether a pressed pointer is the editor's. */
  takes(event) {
    const takes = this.#focus.takes(event);
    if (takes) {
      this.closeOpen();
      this.#playback.stop();
    }
    return takes;
  }

  takesWheel(event) {
    return this.#focus.takesWheel(event);
  }

  // Acts of the user

  choosePreset(name) {
    this.preset = { ...this.preset, name, active: true };
    this.#applyPreset(true);
  }

  changeAmount(amount, final) {
    if (!Number.isFinite(amount)) return;
    this.preset = { ...this.preset, amount };
    if (this.preset.active) this.#applyPreset(final);
    else this.redraw();
  }

  changeBase(base) {
    this.edit(() => withBase(this.store.document, base));
  }

  changeField(name, value, final) {
    const { store } = this;
    const frames = store.selection;
    if (frames.length === 0) return;
    const next = withFields(store.document, frames, { [name]: value });
    if (final) this.edit(() => next, frames);
    else store.preview(next);
  }

  changeAim(aim) {
    const { store } = this;
    if (aim !== "own") return;
    this.edit(() => withOwnDirections(store.document, store.clip, store.selection));
  }

  setKey() {
    const { store } = this;
    this.edit(() => withKeyHere(store.document, store.clip, store.frame, store.draft), [store.frame]);
  }

  deleteKeys() {
    const { store } = this;
    if (store.selection.length > 0) this.edit(() => withoutKeys(store.document, store.selection), []);
  }

  stepKey(way) {
    const { store } = this;
    const frames = store.document.keys.map((key) => Math.round(key.frame));
    const next = way > 0 ? frames.find((frame) => frame > store.frame) : frames.findLast((frame) => frame < store.frame);
    if (next === undefined) return;
    store.setFrame(next);
    store.select(store.document.keys.filter((key) => Math.round(key.frame) === next).map((key) => key.frame));
  }

  /** A click on a thing: moves turn around it from now on, the one that was chosen as well. */
  clickThing(project, at) {
    const found = this.#scene?.pick(project, at, CLOSE) ?? null;
    if (found !== null) this.changeSubject({ how: "point", track: this.store.points.tracks[found.index] });
    return found !== null;
  }

  /** @param {{how: string, track?: number}} about see subject.mjs */
  changeSubject(about) {
    this.store.setAbout(about);
    const [x, y, z] = pivotOf(this.store);
    if (this.preset.active) this.#applyPreset(true, false);
    this.say(`Moves turn around ${SUBJECTS[about.how]}, ${Math.hypot(x, y, z).toFixed(2)} scene scales away.`);
  }

  /** Orbit the chosen point: from the clip's own picture where a preset or nothing is drawn, or by changing what is. */
  orbitSubject(change) {
    const { preset, store } = this;
    if (store.document.keys.length > 0 && !preset.active) change();
    else this.choosePreset(/^(orbit|arc)/.test(preset.name) ? preset.name : "orbit_right");
  }

  pickPoint(pane, project, at) {
    if (this.#scene === null) {
      this.say("Run the node once: then a double-click on a point of your clip looks at it or orbits it.");
      return;
    }
    const found = this.#scene.pick(project, at) ?? this.#scene.pick(project, at, NEAR_BY);
    if (found === null) {
      this.say("No point of the clip lies near there; double-click nearer to one, or track more points.");
      return;
    }
    this.store.setAbout({ how: "point", track: this.store.points.tracks[found.index] });
    this.store.target = { index: found.index, world: this.#scene.point(found.index) };
    const corner = { x: pane.offsetLeft + at.x, y: this.#layout.stage.offsetTop + at.y + 12 };
    this.closeOpen();
    const title = this.#scene.moves(found.index) ? "A point that moves" : "A point of the scene";
    this.#open = openMenu(this.element, corner, title, pointEntries(this, this.#scene, found.index), this.focus);
    this.redraw();
  }

  copiedText() {
    return this.store.copiedText;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.copiedText());
      this.say("The path is copied as JSON text.");
    } catch {
      this.#openText("Copy this text", this.copiedText(), null);
    }
  }

  paste() {
    this.#openText("Paste the JSON text of a path", "", (text) => this.pasteText(text));
  }

  pasteText(text) {
    this.preset = { ...this.preset, active: false };
    this.edit(() => this.store.fitted(parseDocument(text)), []);
  }

  togglePlay() {
    this.#playback.toggle();
    this.redraw();
  }

  setViewpoint(viewpoint) {
    this.viewpoint = viewpoint;
    this.#framed = true;
    this.redraw();
  }

  frameAll() {
    const { cameras, scene } = landmarks(this.store, this.#scene);
    this.viewpoint = framing(this.viewpoint, cameras, scene, this.worldLens().width, this.worldLens().height);
    this.redraw();
  }

  namedView(name) {
    const { azimuth, elevation } = NAMED_VIEWS[name];
    this.setViewpoint({ ...this.viewpoint, azimuth, elevation });
  }

  turnView(right, up) {
    this.setViewpoint(turned(this.viewpoint, right, up));
  }

  toggleFlat() {
    this.setViewpoint({ ...this.viewpoint, flat: !this.viewpoint.flat });
  }

  viewFromCamera() {
    this.setViewpoint(viewFrom(this.viewpoint, this.store.cameraAt(), this.store.clip.sceneScale));
  }

  togglePicture() {
    this.showsPicture = !(this.showsPicture && this.#painter.picture !== null);
    if (this.showsPicture) this.#painter.retryPicture();
    this.redraw();
  }

  toggleOnion() {
    this.setOnion({ on: !this.#onion.state.on });
  }

  setOnion(state) {
    this.#onion.set(state);
    this.redraw();
  }

  toggleSheet() {
    if (this.#open !== null) this.closeOpen();
    else this.#open = openSheet(this.element, () => (this.#open = null));
  }

  /** Leave what is open or under way, one thing at a time, and at last the editor itself. */
  escape() {
    const { store } = this;
    if (this.#open !== null) this.closeOpen();
    else if (this.world.dragging) this.world.cancel();
    else if (store.draft !== null) store.setDraft(null);
    else if (store.selection.length > 0 || store.target !== null) {
      store.target = null;
      store.select([]);
    } else this.#leave();
  }

  #openText(title, text, accept) {
    this.closeOpen();
    this.#open = openText(this.element, title, text, accept, this.focus);
  }

  closeOpen() {
    const open = this.#open;
    this.#open = null;
    open?.close();
  }

  #applyPreset(final, plays = final) {
    const { store, preset } = this;
    const make = () => withPreset(store.document, preset.name, preset.amount, pivotOf(store));
    if (!final) {
      this.#attempt(() => store.preview(make()));
      return;
    }
    const { frame } = store;
    if (plays) store.setFrame(Infinity); // where playing it ends, and what is kept with the text
    this.edit(make, [], true);
    if (!this.preset.active) store.setFrame(frame); // it was refused
    else if (plays) {
      this.frameAll();
      if (store.document.keys.length > 0) this.#playback.once();
    }
  }

  /** One change by the user, or the sentence that says why not. */
  edit(make, selection = this.store.selection, preset = false) {
    this.#attempt(() => {
      this.store.edit(changed(make(), {}), selection);
      this.preset = { ...this.preset, active: preset };
      this.#words = "";
    });
  }

  #attempt(act) {
    try {
      act();
    } catch (error) {
      this.store.cancel();
      this.#words = error.message;
    }
    this.redraw();
  }

  #changed = (what) => {
    if (what === "document" || what === "clip") this.#coverage.restart();
    this.redraw();
  };

  #watchSize() {
    const observer = new ResizeObserver(() => this.redraw());
    observer.observe(this.#layout.stage);
    observer.observe(this.#layout.timeline);
    return observer;
  }
}
