/** The pointer in the camera pane: drag to look, shift-drag to slide, wheel to go ahead, alt-wheel for the lens. */

import { pointIn } from "./elements.mjs";
import { look, move, zoom } from "./flying.mjs";
import { projector } from "./lenses.mjs";

const WHEEL_STEP = 0.0006; // scene scales a wheel unit

export class CameraInput {
  #editor;
  #pane;
  #act = null;

  constructor(editor, pane, signal) {
    this.#editor = editor;
    this.#pane = pane;
    const listen = (name, act, options) => pane.addEventListener(name, act, { signal, ...options });
    listen("pointerdown", this.#down);
    listen("pointermove", this.#move);
    listen("pointerup", this.#up);
    listen("pointercancel", this.#up);
    listen("dblclick", (event) => {
      editor.pickPoint(pane, projector(editor.cameraLens()), pointIn(pane, event));
    });
    listen("contextmenu", (event) => event.preventDefault());
    listen("wheel", this.#wheel, { passive: false });
  }

  #down = (event) => {
    const picks = this.#editor.focused && event.button === 0 && !event.shiftKey;
    if (this.#act !== null || !this.#editor.takes(event)) return;
    this.#pane.setPointerCapture(event.pointerId);
    const at = pointIn(this.#pane, event);
    this.#act = { slides: event.button !== 0 || event.shiftKey, from: at, moved: false, start: at, picks };
  };

  #move = (event) => {
    const act = this.#act;
    if (act === null) return;
    const at = pointIn(this.#pane, event);
    if (!act.moved && Math.hypot(at.x - act.start.x, at.y - act.start.y) < 3) return;
    const [dx, dy] = [at.x - act.from.x, at.y - act.from.y];
    act.moved = true;
    act.from = at;
    const focal = this.#editor.cameraLens().intrinsics[0];
    if (act.slides) move(this.#editor.store, -dx / focal, -dy / focal, 0);
    else look(this.#editor.store, dx / focal, -dy / focal);
  };

  #up = (event) => {
    const act = this.#act;
    if (act === null) return;
    this.#act = null;
    this.#pane.releasePointerCapture(event.pointerId);
    if (act.picks && !act.moved && event.type === "pointerup") this.#editor.clickThing(projector(this.#editor.cameraLens()), act.start);
  };

  #wheel = (event) => {
    if (!this.#editor.takesWheel(event)) return;
    const turn = Math.min(Math.max(event.deltaY, -300), 300);
    if (event.altKey) zoom(this.#editor.store, Math.exp(-turn * 0.001));
    else move(this.#editor.store, 0, 0, -turn * WHEEL_STEP);
  };
}
