/**
 * Matrices of 64-bit floats, row after row: a pose is 16 numbers, a rotation or a lens 9. Quaternions and curves come
 * along from float_geometry.mjs, so that this is the one module to import for geometry.
 *
 * A matrix is named `toFromFrom`, as in Python: X_to = toFromFrom @ X_from.
 */

export * from "./float_geometry.mjs";

/** @typedef {import("./float_geometry.mjs").Vector} Vector */
/** @typedef {import("./float_geometry.mjs").Quaternion} Quaternion */
/** @typedef {Float64Array|number[]} Matrix */

/** @returns {Float64Array} 4 x 4 */
export function identity4() {
  return Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
}

/** a @ b of two 4 x 4 matrices. @param {Matrix} a @param {Matrix} b @returns {Float64Array} */
export function multiply4(a, b) {
  const result = new Float64Array(16);
  for (let row = 0; row < 4; row += 1) {
    for (let column = 0; column < 4; column += 1) {
      let sum = 0;
      for (let inner = 0; inner < 4; inner += 1) sum += a[4 * row + inner] * b[4 * inner + column];
      result[4 * row + column] = sum;
    }
  }
  return result;
}

/** The inverse of a rigid 4 x 4 transform: the rotation transposed. @param {Matrix} m @returns {Float64Array} */
export function rigidInverse(m) {
  const [x, y, z] = [m[3], m[7], m[11]];
  return Float64Array.of(
    m[0], m[4], m[8], -(m[0] * x + m[4] * y + m[8] * z),
    m[1], m[5], m[9], -(m[1] * x + m[5] * y + m[9] * z),
    m[2], m[6], m[10], -(m[2] * x + m[6] * y + m[10] * z),
    0, 0, 0, 1,
  );
}

/** A rigid 4 x 4 transform. @param {Matrix} rotation 9 numbers @param {Vector} translation @returns {Float64Array} */
export function rigid(rotation, translation) {
  const r = rotation;
  const [x, y, z] = translation;
  return Float64Array.of(r[0], r[1], r[2], x, r[3], r[4], r[5], y, r[6], r[7], r[8], z, 0, 0, 0, 1);
}

/** The 3 x 3 rotation of a quaternion; its length is divided out. @param {Quaternion} q @returns {Float64Array} */
export function matrixFromQuaternion(q) {
  const length = Math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
  const [w, x, y, z] = [q[0] / length, q[1] / length, q[2] / length, q[3] / length];
  return Float64Array.of(
    1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
    2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
    2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
  );
}

/**
 * The unit quaternion, w not below 0, of the rotation in a 3 x 3 or a 4 x 4 matrix.
 * @param {Matrix} m 9 or 16 numbers @returns {Quaternion}
 */
export function quaternionFromMatrix(m) {
  const width = m.length === 16 ? 4 : 3;
  const at = (/** @type {number} */ row, /** @type {number} */ column) => m[width * row + column];
  const wx = at(2, 1) - at(1, 2);
  const wy = at(0, 2) - at(2, 0);
  const wz = at(1, 0) - at(0, 1);
  const xy = at(1, 0) + at(0, 1);
  const xz = at(2, 0) + at(0, 2);
  const yz = at(2, 1) + at(1, 2);
  const squares = [
    1 + at(0, 0) + at(1, 1) + at(2, 2),
    1 + at(0, 0) - at(1, 1) - at(2, 2),
    1 - at(0, 0) + at(1, 1) - at(2, 2),
    1 - at(0, 0) - at(1, 1) + at(2, 2),
  ];
  const [ww, xx, yy, zz] = squares;
  const rows = [[ww, wx, wy, wz], [wx, xx, xy, xz], [wy, xy, yy, yz], [wz, xz, yz, zz]];
  const largest = squares.indexOf(Math.max(...squares));
  const q = rows[largest];
  const length = Math.hypot(...q) * (q[0] < 0 ? -1 : 1);
  return [q[0] / length, q[1] / length, q[2] / length, q[3] / length];
}

/** A point carried by a rigid 4 x 4 transform. @param {Matrix} m @param {Vector} p @returns {Vector} */
export function transformPoint(m, p) {
  return [
    m[0] * p[0] + m[1] * p[1] + m[2] * p[2] + m[3],
    m[4] * p[0] + m[5] * p[1] + m[6] * p[2] + m[7],
    m[8] * p[0] + m[9] * p[1] + m[10] * p[2] + m[11],
  ];
}

/** A direction turned by a 4 x 4 transform. @param {Matrix} m @param {Vector} v @returns {Vector} */
export function turnVector(m, v) {
  return [
    m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
    m[4] * v[0] + m[5] * v[1] + m[6] * v[2],
    m[8] * v[0] + m[9] * v[1] + m[10] * v[2],
  ];
}
