/** Changes of a document, each a new document from an old one. Positions are rounded as they come from a pointer. */

import { SEGMENT, SMOOTH, SUBJECT } from "../math/document.mjs";
import { difference, framed, rigidInverse, transformPoint } from "../math/linear.mjs";
import { presetKeys } from "../math/presets.mjs";
import { sourceAt, standsStill } from "./clip.mjs";
import { baseFromWorld, orbitAround, poseAt, standOf, targetPoint, worldFromBase } from "./poses.mjs";

const STILL = 1e-3; // scene scales within which a point counts as standing still
const TURNED_BY = 0.4; // share of the clip at which a camera that turns to a point has done so, where there is no path yet

const rounded = (v, digits = 6) => v.map((value) => Number(value.toFixed(digits)));
const roundedOrbit = (orbit) => {
  const [azimuth, elevation, distance] = rounded([orbit.azimuth, orbit.elevation, orbit.distance]);
  return { azimuth, elevation, distance, target: orbit.target };
};

/** A key of a pose, as `poseAt` gives it. */
export function keyOf(frame, pose, ease = SMOOTH) {
  return {
    frame,
    position: pose.orbit ? null : rounded(pose.position),
    orbit: pose.orbit ? roundedOrbit(pose.orbit) : null,
    look_at: pose.look_at ?? null,
    quaternion: pose.look_at ? null : rounded(pose.quaternion, 9),
    roll: rounded([pose.roll])[0],
    focal: rounded([pose.focal])[0],
    ease,
  };
}

export function withKeys(document, keys) {
  const sorted = [...keys].sort((a, b) => a.frame - b.frame);
  const follows = sorted.some((key) => key.look_at === SUBJECT || key.orbit?.target === SUBJECT);
  return { ...document, keys: sorted, subject: follows ? document.subject : null };
}

/** The document with one key more, on a whole frame; a key at the same frame gives way. */
export function withKey(document, key) {
  return withKeys(document, [...document.keys.filter((other) => Math.round(other.frame) !== key.frame), key]);
}

/** A key at a frame where the path goes anyway, or where the draft pose stands. */
export function withKeyHere(document, clip, frame, draft) {
  const here = document.keys.find((key) => Math.round(key.frame) === frame);
  const before = document.keys.findLast((key) => key.frame <= frame);
  const pose = draft ? { orbit: null, ...draft } : poseAt(document, clip, frame);
  if (here || !before?.ease.startsWith(SEGMENT)) {
    return withKey(document, keyOf(frame, pose, (here ?? before)?.ease ?? SMOOTH));
  }
  // an ease of the segment alone would stop the camera at the new key
  return withKey(withFields(document, [before.frame], { ease: SMOOTH }), keyOf(frame, pose, SMOOTH));
}

export function withoutKeys(document, frames) {
  return withKeys(document, document.keys.filter((key) => !frames.includes(key.frame)));
}

/** Move keys in time by whole frames, as far as there is room. @returns {{document, frames: number[]}} */
export function withKeysShifted(document, frames, shift) {
  const others = document.keys.map((key) => key.frame).filter((frame) => !frames.includes(frame));
  const moved = (by) => frames.map((frame) => (by === 0 ? frame : Math.round(frame + by)));
  const fits = (by) => moved(by).every((to) => to >= 0 && to <= document.frames - 1 && !others.includes(to));
  let by = Math.round(shift);
  while (by !== 0 && !fits(by)) by -= Math.sign(by);
  const places = new Map(frames.map((frame, index) => [frame, moved(by)[index]]));
  const keys = document.keys.map((key) => ({ ...key, frame: places.get(key.frame) ?? key.frame }));
  return { document: withKeys(document, keys), frames: moved(by) };
}

/** Carry keys along a vector of the world. */
export function withKeysCarried(document, clip, frames, delta) {
  return changedKeys(document, frames, (key) => {
    const world = worldFromBase(document, clip, key.frame, standOf(document, clip, key));
    const moved = world.map((value, axis) => value + delta[axis]);
    return standingAt(document, clip, key, baseFromWorld(document, clip, key.frame, moved));
  });
}

/** Carry what keys look at along a vector of the world; keys that look along a direction of their own stay. */
export function withTargetsCarried(document, clip, frames, delta) {
  return changedKeys(document, frames, (key) => {
    const goal = targetPoint(document, clip, key.frame, key.look_at);
    if (!goal) return key;
    const world = worldFromBase(document, clip, key.frame, goal).map((value, axis) => value + delta[axis]);
    return { ...key, look_at: rounded(baseFromWorld(document, clip, key.frame, world)) };
  });
}

/** Set roll, focal or ease of keys. */
export function withFields(document, frames, fields) {
  return changedKeys(document, frames, (key) => ({ ...key, ...fields }));
}

/** Let keys look where they look now, on their own. */
export function withOwnDirections(document, clip, frames) {
  return changedKeys(document, frames, (key) => {
    if (!key.look_at) return key;
    const pose = poseAt(document, clip, key.frame);
    return { ...key, look_at: null, quaternion: rounded(pose.quaternion, 9) };
  });
}

/** @param {number[]} [pivot] what the move turns around, in scene scales in the base camera's axes */
export function withPreset(document, name, amount, pivot) {
  const keys = presetKeys(name, amount, document.frames, "smooth", pivot);
  return { ...document, keys: keys.map(finite), subject: null };
}

/** A key with no more digits than a pointer has. */
function finite(key) {
  const { position, orbit, quaternion, look_at: goal } = key;
  return {
    ...key,
    position: position && rounded(position),
    orbit: orbit && { ...roundedOrbit(orbit), target: rounded(orbit.target) },
    quaternion: quaternion && rounded(quaternion, 9),
    look_at: goal && rounded(goal),
    roll: rounded([key.roll])[0],
    focal: rounded([key.focal])[0],
  };
}

export function withBase(document, base) {
  return { ...document, base };
}

/**
 * Look at a point of the scene, at every key or at the chosen ones. At every key, a path that starts from the clip's own
 * picture goes on doing so and turns to the point from there.
 * @param {number[][]} track the point in the world at each frame
 */
export function lookingAt(document, clip, frames, track) {
  const drawn = withAnyKeys(document, TURNED_BY);
  const { document: aimed, target } = withTarget(drawn, clip, frames, track);
  const starts = frames.length === 0 && drawn.keys.length > 1 && isOwnPicture(drawn.keys[0]) ? drawn.keys[0] : null;
  const looked = changedKeys(aimed, frames, (key) => ({ ...key, look_at: target(key), quaternion: null }));
  return starts ? withKeys(looked, [starts, ...looked.keys.slice(1)]) : looked;
}

/**
 * Go around a point of the scene: the keys keep their places, told as angles and distance from it, and show it where the
 * clip's own picture has it.
 */
export function orbiting(document, clip, frames, track) {
  const { document: aimed, target } = withTarget(withAnyKeys(document), clip, frames, track);
  let near = 0;
  return changedKeys(aimed, frames, (key) => {
    const goal = target(key);
    const centre = targetPoint(aimed, clip, key.frame, goal);
    const stand = standOf(document, clip, key) ?? [0, 0, 0];
    const orbit = orbitAround(stand, centre, goal, near);
    near = orbit.azimuth;
    const quaternion = rounded(framed(centre, difference(stand, centre)), 9);
    return { ...key, position: null, orbit: roundedOrbit(orbit), look_at: null, quaternion };
  });
}

/** Whether a key at the first frame shows what the base camera shows. */
function isOwnPicture({ frame, position, quaternion, roll }) {
  return frame === 0 && roll === 0 && position?.every((part) => part === 0) && quaternion?.[0] === 1;
}

/** The document that holds a point as its subject, where it must be followed, and the target to give to keys. */
function withTarget(document, clip, frames, track) {
  const moves = track.some((point) => point.some((value, axis) => Math.abs(value - track[0][axis]) > STILL * clip.sceneScale));
  if (!moves && standsStill(document, clip)) {
    return { document, target: (key) => rounded(baseFromWorld(document, clip, key.frame, track[0])) };
  }
  const keys = document.keys.map((key) => (chosen(frames, key) ? key : withPlainTargets(document, clip, key)));
  const inverse = rigidInverse(sourceAt(clip, 0).worldFromCamera);
  const subject = track.map((point) => rounded(transformPoint(inverse, point).map((value) => value / clip.sceneScale)));
  return { document: { ...document, keys, subject }, target: () => SUBJECT };
}

/** A key that keeps looking where the subject is now, when the subject is about to become another. */
function withPlainTargets(document, clip, key) {
  const plain = (target) => (target === SUBJECT ? rounded(targetPoint(document, clip, key.frame, target)) : target);
  const orbit = key.orbit && { ...key.orbit, target: plain(key.orbit.target) };
  return { ...key, orbit, look_at: key.look_at && plain(key.look_at) };
}

/** The document, or keys of the clip's own picture at its ends and, perhaps, at a share of its time. */
function withAnyKeys(document, share = null) {
  if (document.keys.length > 0) return document;
  const still = { position: [0, 0, 0], quaternion: [1, 0, 0, 0], roll: 0, focal: 1 };
  const last = document.frames - 1;
  const between = share === null ? [] : [Math.round(share * last)].filter((frame) => frame > 0 && frame < last);
  const frames = last > 0 ? [0, ...between, last] : [0];
  return { ...document, keys: frames.map((frame) => keyOf(frame, still)) };
}

function standingAt(document, clip, key, position) {
  if (!key.orbit) return { ...key, position: rounded(position) };
  const centre = targetPoint(document, clip, key.frame, key.orbit.target);
  return { ...key, orbit: roundedOrbit(orbitAround(position, centre, key.orbit.target, key.orbit.azimuth)) };
}

const chosen = (frames, key) => frames.length === 0 || frames.includes(key.frame);

function changedKeys(document, frames, change) {
  let count = -1;
  const changed = (key) => change(key, (count += 1));
  return withKeys(document, document.keys.map((key) => (chosen(frames, key) ? changed(key) : key)));
}
