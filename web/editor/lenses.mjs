/**
 * Cameras to draw with: a world matrix and a lens in pane pixels. Both panes speak this one language, so that points,
 * lines and the pointer agree.
 *
 * @typedef {object} Lens
 * @property {ArrayLike<number>} worldFromCamera 16 @property {ArrayLike<number>} intrinsics 9, pixels of the pane
 * @property {number} width pane @property {number} height pane @property {number} near @property {number} far
 */

import { rigidInverse } from "../math/linear.mjs";
import { projectionMatrix, viewMatrix } from "../math/projection.mjs";

/** The picture of a clip laid into a pane with a margin. @returns {{x, y, width, height, scale}} pane pixels */
export function pictureIn(width, height, clip, margin = 0.06) {
  const scale = Math.min((width * (1 - margin)) / clip.width, (height * (1 - margin)) / clip.height);
  const [shownWidth, shownHeight] = [clip.width * scale, clip.height * scale];
  return { x: (width - shownWidth) / 2, y: (height - shownHeight) / 2, width: shownWidth, height: shownHeight, scale };
}

/** The clip's lens as it lies in the pane. */
export function paneLens(camera, picture, width, height, sceneScale) {
  const k = camera.intrinsics;
  const s = picture.scale;
  const intrinsics = [k[0] * s, k[1] * s, k[2] * s + picture.x, 0, k[4] * s, k[5] * s + picture.y, 0, 0, 1];
  const { worldFromCamera } = camera;
  return { worldFromCamera, intrinsics, width, height, near: 0.01 * sceneScale, far: 1000 * sceneScale };
}

/** clip space from world for WebGL, column after column. */
export function clipFromWorld(lens) {
  const p = projectionMatrix(lens.intrinsics, lens.width, lens.height, lens.near, lens.far);
  const v = viewMatrix(lens.worldFromCamera);
  const result = new Float32Array(16);
  for (let column = 0; column < 4; column += 1) {
    for (let row = 0; row < 4; row += 1) {
      let sum = 0;
      for (let inner = 0; inner < 4; inner += 1) sum += p[4 * inner + row] * v[4 * column + inner];
      result[4 * column + row] = sum;
    }
  }
  return result;
}

/** A function from a world point to {x, y, depth} in the pane; depth is not above 0 for what lies behind. */
export function projector(lens) {
  const m = rigidInverse(lens.worldFromCamera);
  const [fx, skew, cx, , fy, cy] = lens.intrinsics;
  return ([x, y, z]) => {
    const cameraX = m[0] * x + m[1] * y + m[2] * z + m[3];
    const cameraY = m[4] * x + m[5] * y + m[6] * z + m[7];
    const depth = m[8] * x + m[9] * y + m[10] * z + m[11];
    const nearest = Math.max(depth, 1e-9);
    return { x: (fx * cameraX + skew * cameraY) / nearest + cx, y: (fy * cameraY) / nearest + cy, depth };
  };
}

/** The two ends of a line, cut where it passes behind the camera; null where all of it does. */
export function cutAtNear(lens, from, to) {
  const m = lens.worldFromCamera;
  const ahead = (p) => [2, 6, 10].reduce((sum, at, axis) => sum + m[at] * (p[axis] - m[3 + 4 * axis]), 0) - lens.near;
  const [a, b] = [ahead(from), ahead(to)];
  if (a < 0 && b < 0) return null;
  if (a >= 0 && b >= 0) return [from, to];
  const share = a / (a - b);
  const cut = from.map((value, axis) => value + (to[axis] - value) * share);
  return a < 0 ? [cut, to] : [from, cut];
}
