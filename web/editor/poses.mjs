/**
 * Poses of a path in its own terms: where the camera stands at a frame, in the base camera's axes and in scene scales,
 * and the way from there to the world and back.
 */

import {
  aim,
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
import { cameraAt } from "../math/sampling.mjs";
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

/** The path at a frame as a pose of its own: {position, quaternion without roll, look_at, roll, focal, orbit}. */
export function poseAt(document, clip, frame) {
  const at = Math.min(Math.round(frame), clip.frames - 1);
  const { moved } = cameraAt(document, clip.source, clip.sceneScale, at);
  const { position, quaternion, roll, focal, orbit, goal } = moved;
  const steep = orbit && Math.abs(orbit.elevation) > STEEPEST;
  return { position, quaternion: rolled(quaternion, -roll), look_at: goal, roll, focal, orbit: steep ? null : orbit };
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
