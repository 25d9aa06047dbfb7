/**
 * Draws an editor: the points through both lenses on one canvas, the clip's picture in the new camera's view on another, and
 * lines over them. Only when it is told to.
 */

import { drawCamera } from "./camera_view.mjs";
import { element, freshContext, pixelRatio } from "./elements.mjs";
import { paneLens, pictureIn } from "./lenses.mjs";
import { keptAt } from "../math/picture_mesh.mjs";
import { sourceAt } from "./clip.mjs";
import { createMeshRenderer } from "./mesh_renderer.mjs";
import { createPointsRenderer } from "./points_renderer.mjs";
import { drawTimeline } from "./timeline.mjs";
import { lensOf } from "./viewpoint.mjs";
import { drawBlocks, drawFloor, drawWorld } from "./world_view.mjs";

const POINT_SIZE = 0.006; // scene scales, of one of MANY points; fewer are larger, that they may be seen
const MANY = 20_000;
const FEW = 2000;
const SLOW = 33; // ms
const SLOW_PICTURE = 120; // ms: a picture that the processor draws is worth waiting for a little
const JUDGED = 6; // frames
const STANDIN_FLOOR = 0.5; // scene scales below the first camera, where no points tell

export class Painter {
  #layout;
  #kind;
  #canvas = null;
  #colours = null;
  #renderer = null;
  #judged = false;
  #picture = null; // the mesh's renderer, made when there is a mesh
  #pictureCanvas = null;
  #pictureTimes = [];
  #noPicture = false; // there is no WebGL2, it was taken away, or it is too slow here

  /** @param {object} layout @param {import("./points_renderer.mjs").RendererKind} [kind] */
  constructor(layout, kind = "auto") {
    this.#layout = layout;
    this.#kind = kind;
    this.#renew();
  }

  /** webgl2 or 2d */
  get kind() {
    return this.#renderer.kind;
  }

  get renderer() {
    return this.#renderer;
  }

  /** The mesh's renderer; null before there is a mesh, and where none can be drawn. */
  get picture() {
    return this.#picture;
  }

  dispose() {
    this.#renderer.dispose();
    this.#canvas.remove();
    this.#dropPicture();
  }

  /** Show the picture again where it was found too slow. */
  retryPicture() {
    this.#noPicture = false;
    this.#pictureTimes = [NaN]; // and do not judge it again
  }

  /** The lens of the world pane now. */
  worldLens(viewpoint) {
    const { pane } = this.#layout.world;
    return lensOf(viewpoint, pane.clientWidth, pane.clientHeight);
  }

  /** The new camera's lens in its pane. */
  cameraLens(store) {
    const { clientWidth: width, clientHeight: height } = this.#layout.camera.pane;
    return paneLens(store.cameraAt(), pictureIn(width, height, store.clip), width, height, store.clip.sceneScale);
  }

  /** @param {object} state store, scene, viewpoint, hover, lock, coverage, timelineHover */
  draw(state) {
    const { stage, world, camera } = this.#layout;
    if (stage.clientWidth === 0 || stage.clientHeight === 0) return;
    const ratio = pixelRatio(stage);
    const { store, viewpoint } = state;
    const worldLens = this.worldLens(viewpoint);
    const cameraLens = this.cameraLens(store);
    const pictured = this.#drawPicture(state, ratio, cameraLens);
    this.#points(state, ratio, worldLens, pictured ? null : cameraLens);
    const floor = state.scene ? state.scene.floor : STANDIN_FLOOR * store.clip.sceneScale;
    const under = freshContext(world.under, worldLens.width, worldLens.height, ratio);
    drawFloor(under, worldLens, floor, store.clip.sceneScale);
    if (state.scene === null) drawBlocks(under, worldLens, floor, store.clip.sceneScale);
    drawWorld(freshContext(world.over, worldLens.width, worldLens.height, ratio), worldLens, store, state);
    const picture = pictureIn(cameraLens.width, cameraLens.height, store.clip);
    const over = freshContext(camera.over, cameraLens.width, cameraLens.height, ratio);
    if (state.scene === null) {
      drawFloor(over, cameraLens, floor, store.clip.sceneScale);
      drawBlocks(over, cameraLens, floor, store.clip.sceneScale);
    }
    drawCamera(over, cameraLens, picture, store);
    for (const part of [camera.video, camera.holes]) place(part, picture);
    camera.holes.classList.toggle("t2v-hidden", !pictured);
    this.drawTimeline(state, ratio);
  }

  drawTimeline({ store, coverage, timelineHover }, ratio) {
    const { timeline, line } = this.#layout;
    const { clientWidth: width, clientHeight: height } = timeline;
    drawTimeline(freshContext(line, width, height, ratio), width, height, store, { coverage, hover: timelineHover });
  }

  #points({ store, scene }, ratio, worldLens, cameraLens) {
    const { stage, world, camera } = this.#layout;
    const [width, height] = [stage.clientWidth, stage.clientHeight].map((side) => Math.max(1, Math.round(side * ratio)));
    const canvas = this.#canvas;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    if (scene === null) {
      if (this.#colours !== null) this.#renderer.setColours(new Uint8Array(0));
      if (this.#colours !== null) this.#renderer.setPositions(new Float32Array(0), new Uint8Array(0));
      this.#colours = null;
    } else {
      const fresh = this.#colours !== scene.colours;
      if (fresh) this.#renderer.setColours(scene.colours);
      this.#colours = scene.colours;
      if (scene.at(store.frame) || fresh) this.#renderer.setPositions(scene.positions, scene.seen);
    }
    const count = scene?.count ?? 0;
    const size = POINT_SIZE * Math.cbrt(MANY / Math.min(Math.max(count, 100), MANY)) * store.clip.sceneScale;
    const smallest = count < FEW ? 2.5 : 1.6;
    const view = (pane, lens) => ({ lens, left: pane.offsetLeft, top: pane.offsetTop, size, smallest });
    const views = [view(world.pane, worldLens), ...(cameraLens ? [view(camera.pane, cameraLens)] : [])];
    if (!cameraLens) this.#renderer.clear(view(camera.pane, worldLens), ratio);
    this.#renderer.draw(views, ratio);
    if (this.#kind === "auto" && count >= FEW && this.#tooSlow(views, ratio)) {
      this.#kind = "2d";
      this.#renderer.dispose();
      this.#renew();
      this.#points(...arguments);
    }
  }

  /** Asked once: whether this WebGL takes longer than the eye forgives, whatever it calls itself. */
  #tooSlow(views, ratio) {
    const { gl } = this.#renderer;
    if (!gl || this.#judged) return false;
    this.#judged = true;
    const pixel = new Uint8Array(4);
    const wait = () => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    wait();
    const start = performance.now();
    this.#renderer.draw(views, ratio);
    wait();
    return performance.now() - start > SLOW;
  }

  /** The clip's picture in the new camera's view. @returns {boolean} whether it is there */
  #drawPicture({ store, meshes, showsPicture }, ratio, lens) {
    const wanted = meshes !== null && showsPicture && !this.#noPicture && this.#kind !== "2d";
    this.#pictureCanvas?.classList.toggle("t2v-hidden", !wanted);
    if (!wanted) return false;
    if (this.#picture === null) this.#newPicture();
    if (this.#picture === null) return false;
    const kept = keptAt(meshes, store.frame);
    const start = performance.now();
    this.#picture.draw(meshes, kept, sourceAt(store.clip, Math.min(meshes.times[kept], store.clip.frames - 1)), store.clip, lens, ratio);
    if (this.#pictureTimes.length < JUDGED && !Number.isNaN(this.#pictureTimes[0])) this.#judgePicture(start);
    return !this.#noPicture;
  }

  /** The first frames are waited for; the second best says what this machine can. */
  #judgePicture(start) {
    const { gl } = this.#picture;
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    this.#pictureTimes.push(performance.now() - start);
    if (this.#pictureTimes.length < JUDGED || this.#pictureTimes.sort((a, b) => a - b)[1] <= SLOW_PICTURE) return;
    this.#dropPicture();
  }

  #newPicture() {
    this.#pictureCanvas = element("canvas", { "aria-hidden": "true", class: "t2v-picture" });
    this.#layout.camera.holes.after(this.#pictureCanvas);
    this.#picture = createMeshRenderer(this.#pictureCanvas);
    if (this.#picture === null) this.#dropPicture();
    this.#pictureCanvas?.addEventListener("webglcontextlost", () => this.#picture && this.#dropPicture());
  }

  #dropPicture() {
    const renderer = this.#picture;
    this.#picture = null;
    this.#noPicture = true;
    renderer?.dispose();
    this.#pictureCanvas?.remove();
    this.#pictureCanvas = null;
  }

  /** A new canvas and a renderer on it; plain pixels from then on where a context was taken away. */
  #renew() {
    this.#canvas?.remove();
    this.#canvas = element("canvas", { "aria-hidden": "true" });
    this.#layout.stage.append(this.#canvas);
    this.#renderer = createPointsRenderer(this.#canvas, this.#kind);
    this.#colours = null;
  }

  /** Call `redraw` when the browser takes the context away. */
  watchLoss(redraw, signal) {
    this.#canvas.addEventListener("webglcontextlost", (event) => {
      if (signal.aborted) return;
      event.preventDefault();
      this.#kind = "2d";
      this.#renew();
      redraw();
    }, { signal });
  }
}

function place(part, picture) {
  for (const [name, value] of Object.entries({ left: picture.x, top: picture.y, width: picture.width, height: picture.height })) {
    part.style[name] = `${value}px`;
  }
}
