/**
 * Coverage: the share of the new view that the clip shows, per frame, at that time or near it. Of a clip whose pictures are
 * known it is counted in pixels; of its points alone, in the tokens that at least one point reaches, as
 * PairedTracks.coverage() does. It is worked out in small pieces between frames of drawing, anew after every change.
 */

import { keptAt, markShown } from "../math/picture_mesh.mjs";
import { newView, project } from "../math/projection.mjs";
import { positionsAt, visibleAt } from "../math/points.mjs";
import { sourceAt } from "./clip.mjs";

const PIXELS_PER_TOKEN = 16;
const PIECE = 8; // ms
const COUNTED = 96; // pixels across the small picture in which what is shown is counted
/** Frames away at which the clip is asked what it shows of the rest, as the render of the target view asks. */
const OTHER_TIMES = [0, 5, -5, 12, -12, 24, -24, 40, -40];
const FULL = 0.995;
export const FAIR = 0.9; // below it holes are seen
export const POOR = 0.7; // below it much of the picture is invented

/** @returns {Uint8Array} which points the source shows at least once */
export function seenAtAll(points) {
  const seen = new Uint8Array(points.count);
  const room = new Uint8Array(points.count);
  for (let frame = 0; frame < points.source.frames; frame += 1) {
    visibleAt(points, frame, room);
    for (let index = 0; index < seen.length; index += 1) seen[index] |= room[index];
  }
  return seen;
}

export function coverageOf(camera, width, height, positions, counted, view = newView(positions.length / 3)) {
  const columns = Math.ceil(width / PIXELS_PER_TOKEN);
  const rows = Math.ceil(height / PIXELS_PER_TOKEN);
  const reached = new Uint8Array(columns * rows);
  const { xy, inside } = project(camera.worldFromCamera, camera.intrinsics, width, height, positions, view);
  for (let index = 0; index < inside.length; index += 1) {
    if (!inside[index] || !counted[index]) continue;
    const u = Math.min(Math.max((Math.fround(xy[2 * index]) * columns) / width - 0.5, 0), columns - 1);
    const v = Math.min(Math.max((Math.fround(xy[2 * index + 1]) * rows) / height - 0.5, 0), rows - 1);
    for (const row of [Math.floor(v), Math.ceil(v)]) {
      reached[row * columns + Math.floor(u)] = 1;
      reached[row * columns + Math.ceil(u)] = 1;
    }
  }
  return reached.reduce((sum, value) => sum + value, 0) / reached.length;
}

/** The share of a frame's new view that the clip shows. */
export function shownShare(meshes, clip, camera, frame) {
  const columns = Math.min(COUNTED, clip.width);
  const rows = Math.max(1, Math.round((columns * clip.height) / clip.width));
  const counted = { columns, rows, shown: new Uint8Array(columns * rows) };
  let share = 0;
  for (const shift of OTHER_TIMES) {
    const other = frame + shift;
    if (other < 0 || other >= clip.frames) continue;
    const kept = keptAt(meshes, other);
    const source = sourceAt(clip, Math.min(meshes.times[kept], clip.frames - 1));
    markShown(meshes, kept, source, camera, clip, counted);
    share = counted.shown.reduce((sum, value) => sum + value, 0) / counted.shown.length;
    if (share > FULL) break;
  }
  return share > FULL ? 1 : share;
}

export class CoverageWork {
  #store;
  #done;
  #timer = 0;
  #counted = null;
  #points = null;
  values = null; // Float32Array of the clip's frames; NaN where not yet known

  /** @param {(values: Float32Array) => void} done called after every piece */
  constructor(store, done) {
    this.#store = store;
    this.#done = done;
  }

  /** The path or the points are others now. */
  restart() {
    const { points, meshes, clip } = this.#store;
    clearTimeout(this.#timer);
    if (points === null) {
      this.values = null;
      return;
    }
    if (points !== this.#points) {
      this.#points = points;
      this.#counted = null;
    }
    const positions = new Float32Array(3 * points.count);
    const view = newView(points.count);
    const next = new Float32Array(clip.frames).fill(NaN);
    let frame = 0;
    const piece = () => {
      const end = performance.now() + PIECE;
      if (meshes === null) this.#counted ??= seenAtAll(points);
      const { sampled } = this.#store;
      do {
        const camera = sourceAt({ source: sampled }, frame);
        if (meshes !== null) next[frame] = shownShare(meshes, clip, camera, frame);
        else {
          positionsAt(points, frame, positions);
          next[frame] = coverageOf(camera, clip.width, clip.height, positions, this.#counted, view);
        }
        frame += 1;
      } while (frame < clip.frames && performance.now() < end);
      if (frame < clip.frames) this.#timer = setTimeout(piece, 0);
      else {
        this.values = next;
        this.#done(next);
      }
    };
    this.#timer = setTimeout(piece, 30);
  }

  stop() {
    clearTimeout(this.#timer);
  }
}
