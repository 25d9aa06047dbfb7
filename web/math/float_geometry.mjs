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
/** @type {Vector} */
export const ZERO = Object.freeze([0, 0, 0]);
/** Points nearer than this, and turns smaller than this, are one. */
export const COINCIDENT = 1e-9;

/** Euclidean distance of two points. @param {Vector} a @param {Vector} b @returns {number} */
export function distance(a, b) {
  const x = b[0] - a[0];
  const y = b[1] - a[1];
  const z = b[2] - a[2];
  return Math.sqrt(x * x + y * y + z * z);
}

/** @param {Vector} v */
export function length(v) {
  return Math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

/** From a to b. @param {Vector} a @param {Vector} b @returns {Vector} */
export function difference(a, b) {
  return [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
}

/** @param {Vector} v @param {number} factor @returns {Vector} */
export function times(v, factor) {
  return [v[0] * factor, v[1] * factor, v[2] * factor];
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

/**
 * The cubic from `start` to `end` that leaves and arrives with these slopes, per share of the segment.
 * @param {Vector} start @param {Vector} end @param {Vector} leaving @param {Vector} arriving @param {number} share
 * @returns {Vector}
 */
export function hermite(start, end, leaving, arriving, share) {
  const s2 = share * share;
  const s3 = s2 * share;
  const [a, b, c, d] = [2 * s3 - 3 * s2 + 1, s3 - 2 * s2 + share, 3 * s2 - 2 * s3, s3 - s2];
  return [
    a * start[0] + b * leaving[0] + c * end[0] + d * arriving[0],
    a * start[1] + b * leaving[1] + c * end[1] + d * arriving[1],
    a * start[2] + b * leaving[2] + c * end[2] + d * arriving[2],
  ];
}

/**
 * The slopes with which a curve passes a point, per share of the segment before it and of the one after it.
 * @param {Vector} before @param {Vector} after @param {number} timeBefore @param {number} timeAfter
 * @returns {[Vector, Vector]}
 */
export function passing(before, after, timeBefore, timeAfter) {
  const [a, b] = [length(before), length(after)];
  if (a === 0 || b === 0) return [ZERO, ZERO];
  const whole = timeBefore + timeAfter;
  const [r, q] = [timeBefore / whole, timeAfter / whole];
  const speed = 3 / (((2 * q + r) * r) / a + ((q + 2 * r) * q) / b);
  const half = [
    (before[0] / a + after[0] / b) / 2,
    (before[1] / a + after[1] / b) / 2,
    (before[2] / a + after[2] / b) / 2,
  ];
  return [times(half, speed * r), times(half, speed * q)];
}

/**
 * The slope, per share of its own segment, with which a curve takes over the speed of a neighbour that is given.
 * @param {Vector} other @param {Vector} own @param {number} timeOther @param {number} timeOwn @param {number} factor
 * @returns {Vector}
 */
export function joining(other, own, timeOther, timeOwn, factor) {
  const [a, b] = [length(other), length(own)];
  if (a === 0 || b === 0 || factor === 0) return ZERO;
  const share = (1 + (other[0] * own[0] + other[1] * own[1] + other[2] * own[2]) / (a * b)) / 2;
  return times(other, Math.min(factor * share * a * (timeOwn / timeOther), 3 * b) / a);
}

/** @param {Vector} slope @param {number} most @returns {Vector} */
export function limited(slope, most) {
  const size = length(slope);
  return size <= most ? slope : times(slope, most / size);
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
 * The cubic turn from `start` to `end` that leaves and arrives with these slopes, half rotation vectors in the camera's
 * own axes, per share of the segment.
 * @param {Quaternion} start @param {Quaternion} end @param {Vector} leaving @param {Vector} arriving
 * @param {number} share @returns {Quaternion}
 */
export function turning(start, end, leaving, arriving, share) {
  const s2 = share * share;
  const s3 = s2 * share;
  const rest = 1 - share;
  const [u, w] = [times(leaving, 1 / 3), times(arriving, 1 / 3)];
  const between = product(product(exponential(times(u, -1)), product(conjugate(start), end)), exponential(times(w, -1)));
  const v = logarithm(between);
  let turned = product(start, exponential(times(u, 1 - rest * rest * rest)));
  turned = product(turned, exponential(times(v, 3 * s2 - 2 * s3)));
  return normalised(product(turned, exponential(times(w, s3))));
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

/**
 * The turn, level as `aim` is, of a camera that shows what lies `toward` it at the pixel where a camera that is not turned
 * shows `place`.
 * @param {Vector} place @param {Vector} toward @returns {Quaternion}
 */
export function framed(place, toward) {
  const [a, b] = [length(place), length(toward)];
  const [x, y, z] = [place[0] / a, place[1] / a, place[2] / a];
  const level = Math.sqrt(y * y + z * z);
  const down = Math.min(Math.max(toward[1] / b, -level), level);
  const ahead = Math.sqrt(level * level - down * down);
  const pitch = (Math.atan2(y, z) - Math.atan2(down, ahead)) / 2;
  const yaw = (Math.atan2(toward[0], toward[2]) - Math.atan2(x, ahead)) / 2;
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

/**
 * How fast azimuth, elevation and reach change where the camera of an orbit moves with `slope`.
 * @param {number} azimuth @param {number} elevation @param {number} reach @param {Vector} slope @returns {Vector}
 */
export function orbitSlope(azimuth, elevation, reach, slope) {
  const [x, y, z] = slope;
  const along = x * Math.sin(azimuth) - z * Math.cos(azimuth);
  const across = x * Math.cos(azimuth) + z * Math.sin(azimuth);
  return [
    across / (reach * Math.cos(elevation)),
    -(along * Math.sin(elevation) + y * Math.cos(elevation)) / reach,
    along * Math.cos(elevation) - y * Math.sin(elevation),
  ];
}

/**
 * How fast `orbitOffset` moves where azimuth, elevation and reach change with `slope`.
 * @param {number} azimuth @param {number} elevation @param {number} reach @param {Vector} slope @returns {Vector}
 */
export function offsetSlope(azimuth, elevation, reach, slope) {
  const along = slope[2] * Math.cos(elevation) - reach * slope[1] * Math.sin(elevation);
  const across = reach * slope[0] * Math.cos(elevation);
  return [
    along * Math.sin(azimuth) + across * Math.cos(azimuth),
    -slope[2] * Math.sin(elevation) - reach * slope[1] * Math.cos(elevation),
    across * Math.sin(azimuth) - along * Math.cos(azimuth),
  ];
}
