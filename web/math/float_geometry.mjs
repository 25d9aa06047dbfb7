/**
 * Vectors, quaternions and the curves through them: `track2view_core/cameras/keyframes/float_geometry.py`, line by line.
 *
 * Vectors are [x, y, z], quaternions [w, x, y, z] of unit length, angles in radians. The formulas stand in the Python
 * file; nothing here uses more than + - * /, sqrt, sin, cos and atan2 of 64-bit floats, in the same order.
 *
 * @typedef {number[]} Vector [x, y, z]
 * @typedef {number[]} Quaternion [w, x, y, z]
 */

/** @type {Quaternion} */
export const IDENTITY = Object.freeze([1, 0, 0, 0]);
/** Points nearer than this, and turns smaller than this, are one. */
export const COINCIDENT = 1e-9;

/** Euclidean distance of two points. @param {Vector} a @param {Vector} b @returns {number} */
export function distance(a, b) {
  const x = b[0] - a[0];
  const y = b[1] - a[1];
  const z = b[2] - a[2];
  return Math.sqrt(x * x + y * y + z * z);
}

/** a at share 0 and b at share 1, both exactly. @param {number} a @param {number} b @param {number} share */
export function blend(a, b, share) {
  return a * (1 - share) + b * share;
}

/** @param {Vector} a @param {Vector} b @param {number} share @returns {Vector} */
export function blendVectors(a, b, share) {
  return [blend(a[0], b[0], share), blend(a[1], b[1], share), blend(a[2], b[2], share)];
}

/**
 * The centripetal Catmull-Rom curve (alpha 0.5) from `start` (share 0) to `end` (share 1).
 * @param {Vector|null} before @param {Vector} start @param {Vector} end @param {Vector|null} after
 * @param {number} share 0..1 @returns {Vector}
 */
export function catmullRom(before, start, end, after, share) {
  const length = distance(start, end);
  if (length < COINCIDENT) return blendVectors(start, end, share);
  if (before === null || distance(before, start) < COINCIDENT) before = reflected(start, end);
  if (after === null || distance(end, after) < COINCIDENT) after = reflected(end, start);
  const k0 = Math.sqrt(distance(before, start));
  const k1 = Math.sqrt(length);
  const k2 = Math.sqrt(distance(end, after));
  const s2 = share * share;
  const s3 = s2 * share;
  const curve = [0, 0, 0];
  for (let axis = 0; axis < 3; axis += 1) {
    const p0 = before[axis];
    const p1 = start[axis];
    const p2 = end[axis];
    const p3 = after[axis];
    const m1 = k1 * ((p1 - p0) / k0 - (p2 - p0) / (k0 + k1) + (p2 - p1) / k1);
    const m2 = k1 * ((p2 - p1) / k1 - (p3 - p1) / (k1 + k2) + (p3 - p2) / k2);
    curve[axis] =
      (2 * s3 - 3 * s2 + 1) * p1 + (s3 - 2 * s2 + share) * m1 + (3 * s2 - 2 * s3) * p2 + (s3 - s2) * m2;
  }
  return curve;
}

/** @param {Vector} here @param {Vector} other @returns {Vector} `other` mirrored in `here` */
function reflected(here, other) {
  return [2 * here[0] - other[0], 2 * here[1] - other[1], 2 * here[2] - other[2]];
}

/** Hamilton's product a b: the turn b first, then a. @param {Quaternion} a @param {Quaternion} b */
export function product(a, b) {
  return [
    a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
    a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
    a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
    a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
  ];
}

/** @param {Quaternion} q @returns {Quaternion} */
export function conjugate(q) {
  return [q[0], -q[1], -q[2], -q[3]];
}

/** @param {Quaternion} q @returns {Quaternion} */
export function negated(q) {
  return [-q[0], -q[1], -q[2], -q[3]];
}

/** @param {Quaternion} a @param {Quaternion} b @returns {number} */
export function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
}

/** q divided by its length, which is never 0 here. @param {Quaternion} q @returns {Quaternion} */
export function normalised(q) {
  const length = Math.sqrt(dot(q, q));
  return [q[0] / length, q[1] / length, q[2] / length, q[3] / length];
}

/** @param {Quaternion} q @returns {Vector} */
export function logarithm(q) {
  const n = Math.sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
  const factor = n >= COINCIDENT ? Math.atan2(n, q[0]) / n : 1;
  return [q[1] * factor, q[2] * factor, q[3] * factor];
}

/** @param {Vector} v @returns {Quaternion} */
export function exponential(v) {
  const n = Math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  const factor = n >= COINCIDENT ? Math.sin(n) / n : 1;
  return [Math.cos(n), v[0] * factor, v[1] * factor, v[2] * factor];
}

/**
 * Spherical interpolation from a to b without choosing a sign, normalised.
 * @param {Quaternion} a @param {Quaternion} b @param {number} share @returns {Quaternion}
 */
export function greatArc(a, b, share) {
  const minus = [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]];
  const plus = [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]];
  const theta = 2 * Math.atan2(Math.sqrt(dot(minus, minus)), Math.sqrt(dot(plus, plus)));
  let wa = 1;
  let wb = 0;
  if (theta < COINCIDENT) {
    wa = 1 - share;
    wb = share;
  } else if (theta <= Math.PI - COINCIDENT) {
    wa = Math.sin((1 - share) * theta) / Math.sin(theta);
    wb = Math.sin(share * theta) / Math.sin(theta);
  }
  return normalised([
    a[0] * wa + b[0] * wb,
    a[1] * wa + b[1] * wb,
    a[2] * wa + b[2] * wb,
    a[3] * wa + b[3] * wb,
  ]);
}

/** Shoemake's control point. @param {Quaternion} before @param {Quaternion} here @param {Quaternion} after */
export function innerQuaternion(before, here, after) {
  const ahead = logarithm(product(conjugate(here), after));
  const back = logarithm(product(conjugate(here), before));
  const quarter = [-(ahead[0] + back[0]) / 4, -(ahead[1] + back[1]) / 4, -(ahead[2] + back[2]) / 4];
  return product(here, exponential(quarter));
}

/**
 * @param {Quaternion} a @param {Quaternion} b @param {Quaternion} innerA @param {Quaternion} innerB
 * @param {number} share @returns {Quaternion}
 */
export function squad(a, b, innerA, innerB, share) {
  return greatArc(greatArc(a, b, share), greatArc(innerA, innerB, share), 2 * share * (1 - share));
}

/**
 * The turn that points z from `position` at `target` and keeps x level; null where the two are one.
 * @param {Vector} position @param {Vector} target @returns {Quaternion|null}
 */
export function aim(position, target) {
  const x = target[0] - position[0];
  const y = target[1] - position[1];
  const z = target[2] - position[2];
  if (Math.sqrt(x * x + y * y + z * z) < COINCIDENT) return null;
  const level = Math.sqrt(x * x + z * z);
  const yaw = (level >= COINCIDENT ? Math.atan2(x, z) : 0) / 2;
  const pitch = Math.atan2(-y, level) / 2;
  return [
    Math.cos(yaw) * Math.cos(pitch),
    Math.cos(yaw) * Math.sin(pitch),
    Math.sin(yaw) * Math.cos(pitch),
    -Math.sin(yaw) * Math.sin(pitch),
  ];
}

/** q followed by a turn about its own z. @param {Quaternion} q @param {number} degrees @returns {Quaternion} */
export function rolled(q, degrees) {
  const half = (degrees * Math.PI) / 360;
  return product(q, [Math.cos(half), 0, 0, Math.sin(half)]);
}

/**
 * From the target to the camera of an orbit.
 * @param {number} azimuth radians @param {number} elevation radians @param {number} reach scene scales
 * @returns {Vector}
 */
export function orbitOffset(azimuth, elevation, reach) {
  return [
    reach * Math.sin(azimuth) * Math.cos(elevation),
    reach * -Math.sin(elevation),
    reach * -Math.cos(azimuth) * Math.cos(elevation),
  ];
}
