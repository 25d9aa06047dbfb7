/**
 * Coverage: the share of the new view's tokens that at least one point reaches, per frame, as PairedTracks.coverage()
 * counts it. It is worked out in small pieces between frames of drawing, anew after every change.
 */

import { newView, project } from "../math/projection.mjs";
import { positionsAt, visibleAt } from "../math/points.mjs";

const PIXELS_PER_TOKEN = 16;
const PIECE = 8; // ms
export const LOW_COVERAGE = 0.2; // below it the model has little to hold on to

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
    const { points, clip } = this.#store;
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
      this.#counted ??= seenAtAll(points);
      const { sampled } = this.#store;
      do {
        const camera = {
          worldFromCamera: sampled.worldFromCamera.subarray(16 * frame, 16 * frame + 16),
          intrinsics: sampled.intrinsics.subarray(9 * frame, 9 * frame + 9),
        };
        positionsAt(points, frame, positions);
        next[frame] = coverageOf(camera, clip.width, clip.height, positions, this.#counted, view);
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
