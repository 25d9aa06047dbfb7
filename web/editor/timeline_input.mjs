/** The pointer on the timeline: scrub, choose keys, drag them in time, double-click for a new one. */

import { withKeyHere, withKeysShifted } from "./edits.mjs";
import { pointIn } from "./elements.mjs";
import { frameAt, partAt } from "./timeline.mjs";

export class TimelineInput {
  #editor;
  #area;
  #act = null;

  hover = null;

  constructor(editor, area, signal) {
    this.#editor = editor;
    this.#area = area;
    const listen = (name, act) => area.addEventListener(name, act, { signal });
    listen("pointerdown", this.#down);
    listen("pointermove", this.#move);
    listen("pointerup", this.#up);
    listen("pointercancel", () => this.cancel());
    listen("dblclick", this.#add);
    listen("pointerleave", () => this.#setHover(null));
  }

  cancel() {
    if (this.#act === null) return;
    this.#act = null;
    this.#editor.store.cancel();
  }

  #frame(at) {
    return frameAt(at.x, this.#area.clientWidth, this.#editor.store.clip.frames);
  }

  #down = (event) => {
    if (event.button !== 0 || !this.#editor.takes(event)) return;
    this.#area.setPointerCapture(event.pointerId);
    const at = pointIn(this.#area, event);
    const { store } = this.#editor;
    const part = partAt(store, at, this.#area.clientWidth);
    if (part.kind === "key") {
      const more = event.shiftKey || event.ctrlKey || event.metaKey;
      if (!store.selection.includes(part.frame)) store.select(more ? [...store.selection, part.frame] : [part.frame]);
      store.setFrame(part.frame);
      this.#act = { kind: "key", from: at, held: part.frame, document: store.document, frames: store.selection, result: null };
    } else {
      if (part.kind === "row") store.select([]);
      store.setFrame(this.#frame(at));
      this.#act = { kind: "scrub" };
    }
  };

  #move = (event) => {
    const at = pointIn(this.#area, event);
    const { store } = this.#editor;
    const act = this.#act;
    if (act === null) {
      const part = partAt(store, at, this.#area.clientWidth);
      this.#setHover(part.kind === "key" ? part.frame : null);
    } else if (act.kind === "scrub") store.setFrame(this.#frame(at));
    else {
      const shift = this.#frame(at) - this.#frame(act.from);
      act.result = withKeysShifted(act.document, act.frames, shift);
      store.preview(act.result.document);
      store.select(act.result.frames);
      store.setFrame(act.result.frames[act.frames.indexOf(act.held)]);
    }
  };

  #up = (event) => {
    const act = this.#act;
    this.#act = null;
    if (act === null) return;
    this.#area.releasePointerCapture(event.pointerId);
    if (act.result) this.#editor.store.edit(act.result.document, act.result.frames);
  };

  #add = (event) => {
    const at = pointIn(this.#area, event);
    const { store } = this.#editor;
    if (partAt(store, at, this.#area.clientWidth).kind !== "row") return;
    store.setFrame(this.#frame(at));
    store.edit(withKeyHere(store.document, store.clip, store.frame, store.draft), [store.frame]);
  };

  #setHover(frame) {
    if (this.hover === frame) return;
    this.hover = frame;
    this.#area.style.cursor = frame === null ? "" : "grab";
    this.#editor.redraw();
  }
}
