/** The pointer in the world pane: go around, pan, zoom; choose and drag keys and what they look at; pick points. */

import { withKeysCarried, withTargetsCarried } from "./edits.mjs";
import { pointIn } from "./elements.mjs";
import { projector } from "./lenses.mjs";
import { panned, turned, zoomed } from "./viewpoint.mjs";
import { handleAt } from "./world_view.mjs";

const DEGREES_PER_PIXEL = 0.4;
const AXES = { x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1] };

export class WorldInput {
  #editor;
  #pane;
  #act = null; // what the held pointer does

  hover = null;
  axis = null; // the axis that a drag is locked to

  constructor(editor, pane, signal) {
    this.#editor = editor;
    this.#pane = pane;
    const listen = (name, act, options) => pane.addEventListener(name, act, { signal, ...options });
    listen("pointerdown", this.#down);
    listen("pointermove", this.#move);
    listen("pointerup", this.#up);
    listen("pointercancel", () => this.cancel());
    listen("pointerleave", () => this.#setHover(null));
    listen("dblclick", this.#pick);
    listen("contextmenu", (event) => event.preventDefault());
    listen("wheel", this.#wheel, { passive: false });
  }

  get lock() {
    if (this.#act?.kind !== "carry" || this.axis === null) return null;
    return { axis: this.axis, world: this.#act.handle.world, length: 20 * this.#editor.store.clip.sceneScale };
  }

  get dragging() {
    return this.#act?.kind === "carry";
  }

  /** Lock the drag to an axis, or let it go again. */
  toggleAxis(axis) {
    this.axis = this.axis === axis ? null : axis;
    if (this.#act?.last) this.#carry(this.#act.last);
    this.#editor.redraw();
  }

  cancel() {
    if (this.#act === null) return;
    this.#act = null;
    this.axis = null;
    this.#editor.store.cancel();
    this.#editor.redraw();
  }

  #down = (event) => {
    const picks = this.#editor.focused;
    if (this.#act !== null || !this.#editor.takes(event)) return;
    const at = pointIn(this.#pane, event);
    this.#pane.setPointerCapture(event.pointerId);
    const { store } = this.#editor;
    const handle = event.button === 0 ? handleAt(store, this.#editor.worldLens(), at) : null;
    if (handle !== null) {
      this.#choose(handle, event.shiftKey || event.ctrlKey || event.metaKey);
      this.#act = { kind: "carry", handle, from: at, document: store.document, frames: store.selection, moved: false };
    } else {
      const pans = event.button !== 0 || event.shiftKey;
      this.#act = { kind: pans ? "pan" : "turn", from: at, start: at, moved: false, picks };
    }
  };

  #choose(handle, more) {
    const { store } = this.#editor;
    if (!store.selection.includes(handle.frame)) store.select(more ? [...store.selection, handle.frame] : [handle.frame]);
    if (handle.kind === "key") store.setFrame(handle.frame);
  }

  #move = (event) => {
    const at = pointIn(this.#pane, event);
    const act = this.#act;
    if (act === null) {
      this.#setHover(handleAt(this.#editor.store, this.#editor.worldLens(), at));
      return;
    }
    if (!act.moved && Math.hypot(at.x - (act.start ?? act.from).x, at.y - (act.start ?? act.from).y) < 3) return;
    act.moved = true;
    if (act.kind === "carry") this.#carry(at);
    else {
      const [dx, dy] = [at.x - act.from.x, at.y - act.from.y];
      const { viewpoint } = this.#editor;
      act.from = at;
      this.#editor.setViewpoint(
        act.kind === "pan"
          ? panned(viewpoint, dx, dy, this.#pane.clientHeight)
          : turned(viewpoint, -dx * DEGREES_PER_PIXEL, dy * DEGREES_PER_PIXEL),
      );
    }
  };

  #carry(at) {
    const act = this.#act;
    act.last = at;
    const { store } = this.#editor;
    const delta = this.#delta(act.handle.world, at.x - act.from.x, at.y - act.from.y);
    const carried = act.handle.kind === "key" ? withKeysCarried : withTargetsCarried;
    store.preview(carried(act.document, store.clip, act.frames, delta));
  }

  /** The way in the world that a way on the pane stands for: in the plane of the view, or along the locked axis. */
  #delta(world, dx, dy) {
    const lens = this.#editor.worldLens();
    const project = projector(lens);
    const here = project(world);
    if (this.axis !== null) {
      const way = AXES[this.axis];
      const unit = 1e-3 * this.#editor.store.clip.sceneScale;
      const there = project(world.map((value, index) => value + way[index] * unit));
      const [sx, sy] = [(there.x - here.x) / unit, (there.y - here.y) / unit];
      const length = sx * sx + sy * sy;
      const along = length > 1e-6 ? (dx * sx + dy * sy) / length : 0;
      return way.map((value) => value * along);
    }
    const m = lens.worldFromCamera;
    const unit = here.depth / lens.intrinsics[0];
    return [0, 4, 8].map((row) => (m[row] * dx + m[row + 1] * dy) * unit);
  }

  #up = (event) => {
    const act = this.#act;
    this.#act = null;
    this.axis = null;
    if (act === null) return;
    this.#pane.releasePointerCapture(event.pointerId);
    const { store } = this.#editor;
    if (act.kind === "carry" && act.moved) store.commit();
    if (act.kind === "turn" && !act.moved && event.button === 0) {
      store.target = null;
      store.select([]);
      if (act.picks) this.#editor.clickThing(projector(this.#editor.worldLens()), act.start);
    }
    this.#editor.redraw();
  };

  #pick = (event) => {
    const at = pointIn(this.#pane, event);
    if (handleAt(this.#editor.store, this.#editor.worldLens(), at) === null) {
      this.#editor.pickPoint(this.#pane, projector(this.#editor.worldLens()), at);
    }
  };

  #wheel = (event) => {
    if (!this.#editor.takesWheel(event)) return;
    const { viewpoint } = this.#editor;
    this.#editor.setViewpoint(zoomed(viewpoint, Math.exp(Math.min(Math.max(event.deltaY, -300), 300) * 0.0012)));
  };

  #setHover(handle) {
    if (this.hover?.frame === handle?.frame && this.hover?.kind === handle?.kind) return;
    this.hover = handle;
    this.#pane.style.cursor = handle ? "grab" : "";
    this.#editor.redraw();
  }
}
