/** What the panes need to know of the points: where they are at a frame, which the tracker sees, where the floor is. */

import { positionsAt, visibleAt } from "../math/points.mjs";

export class Scene {
  #points;
  #frame = -1;

  constructor(points) {
    this.#points = points;
    this.count = points.count;
    this.colours = points.colors;
    this.positions = new Float32Array(3 * points.count);
    this.seen = new Uint8Array(points.count);
    this.at(0);
    this.floor = quantile(this.positions, 1, 0.97);
  }

  /** Bring `positions` and `seen` to a frame. @returns {boolean} whether anything changed */
  at(frame) {
    if (frame === this.#frame) return false;
    this.#frame = frame;
    positionsAt(this.#points, frame, this.positions);
    visibleAt(this.#points, frame, this.seen);
    return true;
  }

  point(index) {
    return Array.from(this.positions.subarray(3 * index, 3 * index + 3));
  }

  /** One point at every frame of the clip. @returns {number[][]} */
  track(index, frames) {
    const room = new Float32Array(3 * this.count);
    return Array.from({ length: frames }, (_, frame) => {
      positionsAt(this.#points, frame, room);
      return Array.from(room.subarray(3 * index, 3 * index + 3));
    });
  }

  /** Whether a point goes anywhere by itself. */
  moves(index) {
    return index >= this.#points.count - this.#points.moving;
  }

  /** Every n-th point, few enough to sort. */
  sample(most = 600) {
    const step = Math.max(1, Math.ceil(this.count / most));
    const chosen = [];
    for (let index = 0; index < this.count; index += step) chosen.push(this.point(index));
    return chosen;
  }

  /** The point under the pointer: of those within reach, the nearest to the camera; null where there is none. */
  pick(project, at, reach = 9) {
    let found = null;
    for (let index = 0; index < this.count; index += 1) {
      const { x, y, depth } = project(this.positions.subarray(3 * index, 3 * index + 3));
      if (depth <= 0) continue;
      const away = Math.hypot(x - at.x, y - at.y);
      if (away > reach) continue;
      const cost = depth * (1 + away / reach);
      if (found === null || cost < found.cost) found = { index, cost, x, y };
    }
    return found;
  }
}

const STANDIN = [[-0.6, 0.4, 1], [0.6, -0.2, 1], [0, 0, 1.8]]; // scene scales

/** What a view of the world should hold: where both cameras go, and the scene. */
export function landmarks({ clip, sampled }, scene) {
  const step = 16 * Math.max(1, Math.floor(clip.frames / 60));
  const places = (poses) =>
    Array.from({ length: Math.ceil(poses.length / step) }, (_, n) => [3, 7, 11].map((at) => poses[n * step + at]));
  const cameras = [clip.source.worldFromCamera, sampled.worldFromCamera].flatMap(places);
  const standin = STANDIN.map((point) => point.map((value) => value * clip.sceneScale));
  return { cameras, scene: scene?.sample() ?? standin };
}

function quantile(positions, axis, share) {
  const values = [];
  const step = 3 * Math.max(1, Math.floor(positions.length / 6000));
  for (let at = axis; at < positions.length; at += step) values.push(positions[at]);
  values.sort((a, b) => a - b);
  return values.length > 0 ? values[Math.floor(share * (values.length - 1))] : 0;
}
