/**
 * What an editor knows: the document, the selection, the frame, the way back. Plain data without a page around it.
 *
 * The document's text belongs to the graph. It is written by `edit` and `commit`, which stand for an act of the user,
 * and by nothing else: loading, a run that comes back and a clip of another length change only what is shown.
 */

import { newDocument, parseDocument, rescaled, toJson } from "../math/document.mjs";
import { sampleDocument } from "../math/sampling.mjs";
import { sourceAt, standinClip } from "./clip.mjs";
import { posed } from "./poses.mjs";

const MOST_STEPS_BACK = 200;

export class Store {
  #write;
  #listeners = new Set();
  #authored = null; // as the text says it, on its own frames; null while the text is empty
  #seed = null; // what an empty text stands for, where a path is connected
  #document;
  #preview = null;
  #sampled = null;
  #past = [];
  #future = [];

  text = "";
  problem = ""; // one sentence, where the text is no document
  clip = standinClip(null);
  points = null;
  frame = 0;
  selection = []; // frames of keys, ascending
  draft = null; // a pose flown to and not yet a key: {position, quaternion | look_at, roll, focal}
  about = { how: "auto" }; // what moves turn around, see subject.mjs
  meshes = null; // the clip's picture as meshes, where a run brought it
  target = null; // a point that was picked in the scene: {index, world}

  /** @param {(text: string) => void} write puts the document's text into the graph */
  constructor(write = () => {}) {
    this.#write = write;
    this.#refresh();
  }

  get document() {
    return this.#preview ?? this.#document;
  }

  get untouched() {
    return this.text.trim() === "";
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(what) {
    for (const listener of this.#listeners) listener(what);
  }

  /** Take the text that lies in the graph; nothing is written. */
  load(text) {
    this.#past = [];
    this.#future = [];
    this.#take(text);
  }

  setClip(clip, points = null, seed = null, meshes = null) {
    this.clip = clip;
    this.points = points;
    this.meshes = meshes;
    this.#seed = seed;
    this.#refresh();
    this.frame = Math.min(this.frame, this.clip.frames - 1);
    this.target = null;
    this.emit("clip");
  }

  setFrame(frame) {
    const held = Math.min(Math.max(Math.round(frame), 0), this.clip.frames - 1);
    if (held === this.frame) return;
    this.frame = held;
    this.draft = null;
    this.emit("frame");
  }

  select(frames) {
    const known = new Set(this.document.keys.map((key) => key.frame));
    this.selection = [...new Set(frames)].filter((frame) => known.has(frame)).sort((a, b) => a - b);
    this.emit("selection");
  }

  setAbout(about) {
    this.about = about;
    this.emit("about");
  }

  setDraft(draft) {
    this.draft = draft;
    this.emit("draft");
  }

  /** Show a change that is not finished, such as a drag; `commit` keeps it, `cancel` drops it. */
  preview(document) {
    this.#preview = document;
    this.#sampled = null;
    this.emit("document");
  }

  cancel() {
    if (this.#preview === null) return;
    this.#preview = null;
    this.#sampled = null;
    this.emit("document");
  }

  commit() {
    const document = this.#preview;
    if (document === null) return;
    this.#preview = null;
    this.edit(document);
  }

  /** An act of the user: the document becomes this one, its text goes into the graph, and undo leads back. */
  edit(document, selection = this.selection) {
    const text = toJson(this.#drawnHere(document));
    const before = { text: this.text, selection: this.selection };
    this.draft = null;
    this.#take(text, selection);
    if (text === before.text) return;
    this.#past.push(before);
    this.#past.splice(0, this.#past.length - MOST_STEPS_BACK);
    this.#future = [];
    this.#write(text);
  }

  undo() {
    this.#step(this.#past, this.#future);
  }

  redo() {
    this.#step(this.#future, this.#past);
  }

  /** The path at every frame: {worldFromCamera, intrinsics, notes}; where it has none, `sampleProblem` says why. */
  get sampled() {
    if (this.#sampled === null) {
      const { source, sceneScale } = this.clip;
      try {
        this.#sampled = { ...sampleDocument(this.document, source, sceneScale), problem: "" };
      } catch (error) {
        this.#sampled = { worldFromCamera: source.worldFromCamera, intrinsics: source.intrinsics, notes: [] };
        this.#sampled.problem = error.message;
      }
    }
    return this.#sampled;
  }

  /** The camera to look through now: the draft's, or the path's at a frame. */
  cameraAt(frame = this.frame) {
    if (this.draft !== null && frame === this.frame) return posed(this.document, this.clip, frame, this.draft);
    return sourceAt({ source: this.sampled }, frame);
  }

  #step(from, to) {
    this.#preview = null;
    const entry = from.pop();
    if (entry === undefined) return;
    to.push({ text: this.text, selection: this.selection });
    this.draft = null;
    this.#take(entry.text, entry.selection);
    this.#write(entry.text);
  }

  #take(text, selection = this.selection) {
    this.text = text ?? "";
    this.problem = "";
    this.#authored = null;
    this.#preview = null;
    if (!this.untouched) {
      try {
        this.#authored = parseDocument(this.text);
      } catch (error) {
        this.problem = error.message;
      }
    }
    this.#refresh();
    this.frame = Math.min(this.frame, this.clip.frames - 1);
    this.select(selection);
    this.emit("document");
  }

  /** The document as it lies on this clip. */
  #refresh() {
    const drawn = this.#authored ?? this.#seed;
    if (!this.clip.known) this.clip = standinClip(drawn);
    const { known, frames, fps, width, height } = this.clip;
    const fresh = { frames, fps, aspect: known ? [width, height] : null, base: "source" };
    this.#document = drawn === null ? newDocument(fresh) : rescaled(drawn, frames);
    this.#sampled = null;
  }

  /** The document's text, also where the graph holds none yet. */
  get copiedText() {
    return toJson(this.#drawnHere(this.document));
  }

  /** A document from elsewhere on this clip's frames. */
  fitted(document) {
    return this.clip.known ? rescaled(document, this.clip.frames) : document;
  }

  #drawnHere(document) {
    const { known, fps, width, height } = this.clip;
    return known ? { ...document, fps, aspect: [width, height] } : document;
  }
}
