/**
 * Poses of a path in its own terms: where the camera stands at a frame, in the base camera's axes and in scene scales,
 * and the way from there to the world and back.
 */

import {
  aim,
  blend,
  blendVectors,
  matrixFromQuaternion,
  multiply4,
  normalised,
  orbitOffset,
  quaternionFromMatrix,
  rigid,
  rigidInverse,
  rolled,
  transformPoint,
} from "../math/linear.mjs";
import { SUBJECT } from "../math/document.mjs";
import { eased } from "../math/easing.mjs";
import { baseAt, sourceAt } from "./clip.mjs";

const STEEPEST = 88.5; // the document takes up to 89
const NEAREST = 0.01; // scene scales from what is orbited
const DEGREES = 180 / Math.PI;

const scaled = (v, factor) => [v[0] * factor, v[1] * factor, v[2] * factor];

export function worldFromBase(document, clip, frame, point) {
  return transformPoint(baseAt(document, clip, frame).worldFromCamera, scaled(point, clip.sceneScale));
}

export function baseFromWorld(document, clip, frame, point) {
  const inverse = rigidInverse(baseAt(document, clip, frame).worldFromCamera);
  return scaled(transformPoint(inverse, point), 1 / clip.sceneScale);
}

/** Where the document's subject is at a frame, in the world; null where it has none. */
export function subjectInWorld(document, clip, frame) {
  if (!document.subject) return null;
  const at = Math.min(Math.max(frame, 0), document.frames - 1);
  const [low, high] = [Math.floor(at), Math.min(Math.floor(at) + 1, document.frames - 1)];
  const point = blendVectors(document.subject[low], document.subject[high], at - low);
  return transformPoint(sourceAt(clip, 0).worldFromCamera, scaled(point, clip.sceneScale));
}

/** A target, which is a point or "subject", in the base camera's axes at a frame; null where there is none. */
export function targetPoint(document, clip, frame, target) {
  if (target !== SUBJECT) return target ?? null;
  const world = subjectInWorld(document, clip, frame);
  return world && baseFromWorld(document, clip, frame, world);
}

/** What a key looks at, in the world; null where it has a direction of its own. */
export function goalInWorld(document, clip, key) {
  const point = targetPoint(document, clip, key.frame, key.look_at);
  return point && worldFromBase(document, clip, key.frame, point);
}

export function standOf(document, clip, key) {
  if (!key.orbit) return key.position;
  const { azimuth, elevation, distance, target } = key.orbit;
  const offset = orbitOffset(azimuth / DEGREES, elevation / DEGREES, distance);
  const centre = targetPoint(document, clip, key.frame, target);
  return centre.map((value, axis) => value + offset[axis]);
}

/** A position as coordinates around a target; the azimuth is the turn nearest to `near` degrees. */
export function orbitAround(position, centre, target, near = 0) {
  const [x, y, z] = position.map((value, axis) => value - centre[axis]);
  const level = Math.hypot(x, z);
  let azimuth = Math.atan2(x, -z) * DEGREES;
  azimuth += 360 * Math.round((near - azimuth) / 360);
  const elevation = Math.atan2(-y, level) * DEGREES;
  const held = Math.min(Math.max(elevation, -STEEPEST), STEEPEST);
  return { azimuth, elevation: held, distance: Math.max(Math.hypot(x, y, z), NEAREST), target };
}

/** The key before or at a frame and the one after it, and the share of the way between them. */
export function segmentAt(document, frame) {
  const { keys } = document;
  let before = -1;
  while (before + 1 < keys.length && keys[before + 1].frame <= frame) before += 1;
  if (keys.length === 0) return null;
  if (before < 0) return { one: keys[0], two: keys[0], share: 0 };
  if (before === keys.length - 1) return { one: keys[before], two: keys[before], share: 0 };
  const [one, two] = [keys[before], keys[before + 1]];
  return { one, two, share: eased((frame - one.frame) / (two.frame - one.frame), one.ease) };
}

/** The path at a frame as a pose of its own: {position, quaternion without roll, look_at, roll, focal, orbit}. */
export function poseAt(document, clip, frame, camera) {
  const local = multiply4(rigidInverse(baseAt(document, clip, frame).worldFromCamera), camera.worldFromCamera);
  const segment = segmentAt(document, frame);
  const roll = segment ? blend(segment.one.roll, segment.two.roll, segment.share) : 0;
  const focal = segment ? blend(segment.one.focal, segment.two.focal, segment.share) : 1;
  const position = scaled([local[3], local[7], local[11]], 1 / clip.sceneScale);
  const pose = { position, quaternion: directionOf(document, clip, frame, camera, roll), look_at: null, roll, focal };
  if (segment === null) return { ...pose, orbit: null };
  const { one, two } = segment;
  if (one.look_at && two.look_at) pose.look_at = between(one.look_at, two.look_at, segment.share);
  pose.orbit = null;
  if (one.orbit && two.orbit && same(one.orbit.target, two.orbit.target)) {
    const centre = targetPoint(document, clip, frame, one.orbit.target);
    const near = blend(one.orbit.azimuth, two.orbit.azimuth, segment.share);
    pose.orbit = orbitAround(position, centre, one.orbit.target, near);
  }
  return pose;
}

/** A camera's orientation in the base camera's axes, without its roll. */
export function directionOf(document, clip, frame, camera, roll) {
  const local = multiply4(rigidInverse(baseAt(document, clip, frame).worldFromCamera), camera.worldFromCamera);
  return rolled(quaternionFromMatrix(local), -roll);
}

/** The camera of a pose, in the world. */
export function posed(document, clip, frame, pose) {
  const base = baseAt(document, clip, frame);
  const goal = pose.look_at ? targetPoint(document, clip, frame, pose.look_at) : null;
  const turned = (goal && aim(pose.position, goal)) || normalised(pose.quaternion);
  const rotation = matrixFromQuaternion(rolled(turned, pose.roll));
  const intrinsics = Float64Array.from(base.intrinsics);
  for (const entry of [0, 1, 3, 4]) intrinsics[entry] *= pose.focal;
  const local = rigid(rotation, scaled(pose.position, clip.sceneScale));
  return { worldFromCamera: multiply4(base.worldFromCamera, local), intrinsics };
}

export function same(one, two) {
  if (typeof one === "string" || typeof two === "string") return one === two;
  return one.every((value, axis) => value === two[axis]);
}

function between(one, two, share) {
  if (same(one, two)) return one;
  return typeof one === "string" || typeof two === "string" ? null : blendVectors(one, two, share);
}
