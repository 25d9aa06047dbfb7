/** How fast a move goes, on top of what it rides on. */

import { conjugate, distance, logarithm, product } from "../math/linear.mjs";
import { cameraAt } from "../math/sampling.mjs";

const known = new WeakMap();

/**
 * Scene scales and radians a frame, added up: what stands one scene scale ahead moves about as fast by either.
 * @returns {number[]} one number less than there are frames: from each to the next
 */
export function paceOf({ document, clip, sampled }) {
  if (!known.has(sampled)) known.set(sampled, sampled.problem ? [] : measured(document, clip));
  return known.get(sampled);
}

function measured(document, clip) {
  const at = (frame) => cameraAt(document, clip.source, clip.sceneScale, frame).moved;
  const pace = [];
  for (let frame = 1, before = at(0); frame < clip.frames; frame += 1) {
    const now = at(frame);
    const [w, x, y, z] = product(conjugate(before.quaternion), now.quaternion);
    const turn = 2 * Math.hypot(...logarithm(w < 0 ? [-w, -x, -y, -z] : [w, x, y, z]));
    pace.push(distance(before.position, now.position) + turn);
    before = now;
  }
  return pace;
}
