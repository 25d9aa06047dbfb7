/**
 * Projection: world points as one camera sees them; `cameras/projection.py` for one frame, in 64-bit floats.
 *
 * Pixels are continuous: the picture spans 0..width and 0..height, the centre of pixel (row i, column j) is
 * (j + 0.5, i + 0.5).
 */

import { rigidInverse } from "./linear.mjs";

/** World units; nearer than this counts as behind the camera. */
export const NEAR_DEPTH = 1e-6;
/** xy is held within this many pixels. */
export const FAR_PIXEL = 1e6;

/**
 * @typedef {object} View
 * @property {Float64Array} xy 2 N, pixels; (-width, -height) for a point that is not in front of the camera
 * @property {Float64Array} depth N, world units along the axis of view
 * @property {Uint8Array} inside N, 1 where the point is in front and within the picture
 */

/** Room for the view of `count` points, to be used again every frame. @param {number} count @returns {View} */
export function newView(count) {
  return { xy: new Float64Array(2 * count), depth: new Float64Array(count), inside: new Uint8Array(count) };
}

/**
 * @param {ArrayLike<number>} worldFromCamera 16 @param {ArrayLike<number>} intrinsics 9, pixels
 * @param {number} width @param {number} height @param {ArrayLike<number>} points 3 N, world
 * @param {View} [out] room for the answer; made when left out
 * @returns {View}
 */
export function project(worldFromCamera, intrinsics, width, height, points, out = newView(points.length / 3)) {
  const m = rigidInverse(/** @type {any} */ (worldFromCamera));
  const [fx, skew, cx] = [intrinsics[0], intrinsics[1], intrinsics[2]];
  const [fy, cy] = [intrinsics[4], intrinsics[5]];
  const { xy, depth, inside } = out;
  const count = points.length / 3;
  for (let n = 0; n < count; n += 1) {
    const [x, y, z] = [points[3 * n], points[3 * n + 1], points[3 * n + 2]];
    const cameraX = m[0] * x + m[1] * y + m[2] * z + m[3];
    const cameraY = m[4] * x + m[5] * y + m[6] * z + m[7];
    const cameraZ = m[8] * x + m[9] * y + m[10] * z + m[11];
    depth[n] = cameraZ;
    if (!(cameraZ > NEAR_DEPTH)) {
      xy[2 * n] = -width;
      xy[2 * n + 1] = -height;
      inside[n] = 0;
      continue;
    }
    const px = held((fx * cameraX + skew * cameraY + cx * cameraZ) / cameraZ);
    const py = held((fy * cameraY + cy * cameraZ) / cameraZ);
    xy[2 * n] = px;
    xy[2 * n + 1] = py;
    // Python hands out 32-bit pixels and judges those.
    const [shownX, shownY] = [Math.fround(px), Math.fround(py)];
    inside[n] = shownX >= 0 && shownX < width && shownY >= 0 && shownY < height ? 1 : 0;
  }
  return out;
}

/** @param {number} pixel */
function held(pixel) {
  return Math.min(Math.max(pixel, -FAR_PIXEL), FAR_PIXEL);
}

/**
 * The world point at `depth` behind a pixel; the inverse of `project`.
 * @param {ArrayLike<number>} worldFromCamera 16 @param {ArrayLike<number>} intrinsics 9
 * @param {number} x pixels @param {number} y pixels @param {number} depth world units along the axis of view
 * @returns {number[]} [x, y, z] world
 */
export function unproject(worldFromCamera, intrinsics, x, y, depth) {
  const m = worldFromCamera;
  const cameraY = ((y - intrinsics[5]) / intrinsics[4]) * depth;
  const cameraX = ((x - intrinsics[2]) * depth - intrinsics[1] * cameraY) / intrinsics[0];
  return [0, 4, 8].map((row) => m[row] * cameraX + m[row + 1] * cameraY + m[row + 2] * depth + m[row + 3]);
}

/**
 * The clip-space matrix of a lens for WebGL, column after column: camera axes (x right, y down, z forward) to a
 * clip space in which the whole width x height picture fills -1..1 and y points up.
 * @param {ArrayLike<number>} intrinsics 9, pixels of width x height
 * @param {number} width @param {number} height @param {number} near world units @param {number} far world units
 * @returns {Float32Array} 16
 */
export function projectionMatrix(intrinsics, width, height, near, far) {
  const [fx, skew, cx] = [intrinsics[0], intrinsics[1], intrinsics[2]];
  const [fy, cy] = [intrinsics[4], intrinsics[5]];
  const rows = [
    [(2 * fx) / width, (2 * skew) / width, (2 * cx) / width - 1, 0],
    [0, (-2 * fy) / height, 1 - (2 * cy) / height, 0],
    [0, 0, (far + near) / (far - near), (-2 * far * near) / (far - near)],
    [0, 0, 1, 0],
  ];
  return Float32Array.from({ length: 16 }, (_, index) => rows[index % 4][Math.floor(index / 4)]);
}

/** camera_from_world for WebGL, column after column. @param {ArrayLike<number>} worldFromCamera 16, row after row */
export function viewMatrix(worldFromCamera) {
  const m = rigidInverse(/** @type {any} */ (worldFromCamera));
  return Float32Array.from({ length: 16 }, (_, index) => m[4 * (index % 4) + Math.floor(index / 4)]);
}
