/**
 * From a keyframe document to a camera path: `cameras/keyframes/sampling.py`, whose header states the rules by number.
 *
 * @typedef {import("./linear.mjs").Vector} Vector
 * @typedef {import("./linear.mjs").Quaternion} Quaternion
 * @typedef {import("./document.mjs").PathDocument} PathDocument
 * @typedef {import("./document.mjs").Key} Key
 * @typedef {import("./document.mjs").Orbit} Orbit
 * @typedef {import("./document.mjs").Target} Target
 *
 * @typedef {object} Source the clip's own camera
 * @property {number} frames T
 * @property {number} width pixels
 * @property {number} height pixels
 * @property {number} fps
 * @property {Float64Array} worldFromCamera 16 T, row after row
 * @property {Float64Array} intrinsics 9 T, pixels
 *
 * @typedef {object} MovedCamera one frame of a move, in the base camera's axes
 * @property {Vector} position scene scales
 * @property {Quaternion} quaternion base_from_camera
 * @property {number} focal times the base camera's
 * @property {number} roll degrees, which the quaternion includes
 * @property {Orbit|null} orbit the position in coordinates around a target, where keys tell it so
 * @property {Vector|"subject"|null} goal what it looks at, where keys look at something
 */

import { NEAREST, SEGMENT, keyPosition } from "./document.mjs";
import { eased } from "./easing.mjs";
import {
  IDENTITY,
  aim,
  blend,
  blendVectors,
  catmullRom,
  dot,
  greatArc,
  hermite,
  innerQuaternion,
  matrixFromQuaternion,
  multiply4,
  negated,
  normalised,
  orbitOffset,
  rigid,
  rigidInverse,
  rolled,
  squad,
  transformPoint,
  turning,
} from "./linear.mjs";
import { slopes } from "./passing_keys.mjs";

/**
 * The camera path of a document on the clip that `source` filmed: the same length, picture size and fps.
 * @param {PathDocument} document @param {Source} source @param {number} sceneScale world units
 * @returns {{worldFromCamera: Float64Array, intrinsics: Float64Array, notes: string[]}} 16 T and 9 T, row after row
 */
export function sampleDocument(document, source, sceneScale) {
  const worldFromCamera = new Float64Array(16 * source.frames);
  const intrinsics = new Float64Array(9 * source.frames);
  for (let frame = 0; frame < source.frames; frame += 1) {
    const camera = cameraAt(document, source, sceneScale, frame);
    worldFromCamera.set(camera.worldFromCamera, 16 * frame);
    intrinsics.set(camera.intrinsics, 9 * frame);
  }
  return { worldFromCamera, intrinsics, notes: documentNotes(document, source) };
}

/**
 * The camera of one clip frame: rule 6.
 * @param {PathDocument} document @param {Source} source @param {number} sceneScale @param {number} frame 0 .. T - 1
 * @returns {{worldFromCamera: Float64Array, intrinsics: Float64Array, moved: MovedCamera}} 16 and 9, row after row
 */
export function cameraAt(document, source, sceneScale, frame) {
  const moved = moveOf(document, source, sceneScale).at(frame);
  const base = basePose(document, source, frame);
  const [x, y, z] = moved.position;
  const step = rigid(matrixFromQuaternion(moved.quaternion), [sceneScale * x, sceneScale * y, sceneScale * z]);
  const intrinsics = baseIntrinsics(document, source, frame);
  for (const entry of [0, 1, 3, 4]) intrinsics[entry] *= moved.focal;
  return { worldFromCamera: multiply4(base, step), intrinsics, moved };
}

/** The base camera's pose at a clip frame, world_from_base, 16. @param {PathDocument} document @param {Source} source @param {number} frame */
export function basePose(document, source, frame) {
  const at = document.base === "source" ? frame : 0;
  return source.worldFromCamera.slice(16 * at, 16 * at + 16);
}

/** The base camera's lens at a clip frame, 9. @param {PathDocument} document @param {Source} source @param {number} frame */
export function baseIntrinsics(document, source, frame) {
  const at = document.base === "source" ? frame : 0;
  return source.intrinsics.slice(9 * at, 9 * at + 9);
}

/**
 * What differs between the clip a document was drawn on and this one, in whole sentences for the user.
 * @param {PathDocument} document @param {Source} source @returns {string[]}
 */
export function documentNotes(document, source) {
  const notes = [];
  if (document.keys.length && document.frames !== source.frames) {
    notes.push(
      `The path was drawn on ${document.frames} frames and the clip has ${source.frames}: its keys were rescaled in ` +
        "time.",
    );
  }
  if (document.keys.length && document.aspect !== null) {
    const [width, height] = document.aspect;
    if (Math.abs(((width / height) * source.height) / source.width - 1) > 0.01) {
      notes.push(
        `The path was drawn on pictures of ${width} x ${height} and the clip has ${source.width} x ` +
          `${source.height}: another part of the scene is in view.`,
      );
    }
  }
  return notes;
}

/** The document's time of a clip frame: rule 1. @param {number} frame @param {number} frames @param {number} documentFrames */
export function documentTime(frame, frames, documentFrames) {
  return frames > 1 ? (frame * (documentFrames - 1)) / (frames - 1) : 0;
}

/** The clip frame of a document's time: clip(f) of rule 1. @param {number} time @param {number} frames @param {number} documentFrames */
export function clipFrame(time, frames, documentFrames) {
  return documentFrames > 1 ? Math.floor((time * (frames - 1)) / (documentFrames - 1) + 0.5) : 0;
}

/**
 * The move of a document at each of `frames` clip frames, in the base camera's axes: rules 1 to 5.
 * @param {PathDocument} document @param {number} frames
 * @param {Vector[]|null} [subject] its position in the base camera's axes at each clip frame; needed where it has one
 * @returns {{at(frame: number): MovedCamera}}
 */
export function sampleMove(document, frames, subject = null) {
  const keys = resolved(document, frames, subject);
  const passed = slopes(passingOf(keys, document, frames, subject));
  return {
    at(frame) {
      if (!keys.length) return { position: [0, 0, 0], quaternion: IDENTITY, focal: 1, roll: 0, orbit: null, goal: null };
      const time = documentTime(frame, frames, document.frames);
      const here = subject && subject[frame];
      let before = keys.length - 1;
      while (before >= 0 && keys[before].given.frame > time) before -= 1;
      if (before < 0 || before === keys.length - 1) return held(keys[Math.max(before, 0)], here);
      const key = keys[before];
      if (key.given.frame === time) return cameraOnKey(key.given, key.stand, key.aim);
      if (key.given.ease === "hold") return held(key, here);
      return between(document, keys, passed, before, time, here);
    },
  };
}

/** Everything about a document on a clip that does not depend on the frame, kept for as long as it is in use. */
const prepared = new WeakMap();

/** @param {PathDocument} document @param {Source} source @param {number} sceneScale */
function moveOf(document, source, sceneScale) {
  if (!(typeof sceneScale === "number" && Number.isFinite(sceneScale) && sceneScale > 0)) {
    throw new Error(
      `scene_scale is ${sceneScale}; it must be the subject's distance, a finite number above 0.`,
    );
  }
  const known = prepared.get(document);
  if (known && known.source === source && known.sceneScale === sceneScale) return known.move;
  const subject = document.subject === null ? null : subjectInBase(document, source, sceneScale);
  const move = sampleMove(document, source.frames, subject);
  prepared.set(document, { source, sceneScale, move });
  return move;
}

/**
 * @typedef {object} ResolvedKey
 * @property {Key} given
 * @property {Vector} stand
 * @property {Quaternion} aim
 * @property {Quaternion} inner
 */

/** @param {Key} key @param {Vector} stand @param {Quaternion} turned @returns {MovedCamera} */
function cameraOnKey(key, stand, turned) {
  const { roll, focal, orbit, look_at: goal } = key;
  return { position: stand, quaternion: rolled(turned, roll), focal, roll, orbit, goal };
}

/**
 * The first or the last key at a frame that lies on it or beyond: rule 3.
 * @param {ResolvedKey} key @param {Vector|null} here @returns {MovedCamera}
 */
function held(key, here) {
  const { given } = key;
  const follows = given.look_at === "subject" || (given.orbit !== null && given.orbit.target === "subject");
  if (!follows) return cameraOnKey(given, key.stand, key.aim);
  const stand = keyPosition(given, here) || key.stand;
  const turned = given.look_at === null ? null : aim(stand, resolve(given.look_at, here));
  return cameraOnKey(given, stand, turned || key.aim);
}

/** Rule 2. @param {PathDocument} document @param {number} frames @param {Vector[]|null} subject @returns {ResolvedKey[]} */
function resolved(document, frames, subject) {
  /** @type {Vector[]} */
  const stands = [];
  /** @type {Quaternion[]} */
  const aims = [];
  document.keys.forEach((key, index) => {
    const there = subjectAt(key, document, frames, subject);
    const stand = keyPosition(key, there);
    if (stand === null) {
      throw new Error(`Key ${index + 1} goes around the subject; sample_move needs the subject's positions.`);
    }
    let turned = key.quaternion !== null ? normalised(key.quaternion) : aim(stand, resolve(key.look_at, there));
    if (turned === null) {
      throw new Error(
        `Key ${index + 1}, field look_at: at frame ${key.frame} the camera stands where it should look; ` +
          "move the key or give it another look_at.",
      );
    }
    if (aims.length && dot(aims[aims.length - 1], turned) < 0) turned = negated(turned);
    stands.push(stand);
    aims.push(turned);
  });
  const last = aims.length - 1;
  return document.keys.map((given, i) => ({
    given,
    stand: stands[i],
    aim: aims[i],
    inner: i === 0 || i === last ? aims[i] : innerQuaternion(aims[i - 1], aims[i], aims[i + 1]),
  }));
}

/** @param {Key} key @param {PathDocument} document @param {number} frames @param {Vector[]|null} subject */
function subjectAt(key, document, frames, subject) {
  return subject && subject[clipFrame(key.frame, frames, document.frames)];
}

/**
 * The keys as rule 5 takes them.
 * @param {ResolvedKey[]} keys @param {PathDocument} document @param {number} frames @param {Vector[]|null} subject
 * @returns {import("./passing_keys.mjs").Passing[]}
 */
function passingOf(keys, document, frames, subject) {
  const at = keys.map(({ given }) => subjectAt(given, document, frames, subject));
  const last = keys.length - 1;
  const around = (/** @type {Target|null} */ target, /** @type {number} */ i) =>
    target === null ? null : [Math.max(i - 1, 0), i, Math.min(i + 1, last)].map((k) => resolve(target, at[k]));
  return keys.map(({ given, stand, aim: turned }, i) => ({
    frame: given.frame,
    ease: given.ease,
    stand,
    aim: turned,
    orbit: given.orbit && orbitVector(given.orbit),
    roll: given.roll,
    focal: given.focal,
    targets: around(given.orbit && given.orbit.target, i),
    goals: around(given.look_at, i),
  }));
}

/**
 * Rule 4.
 * @param {PathDocument} document @param {ResolvedKey[]} keys @param {(import("./passing_keys.mjs").Slopes|null)[]} passed
 * @param {number} i @param {number} time @param {Vector|null} here @returns {MovedCamera}
 */
function between(document, keys, passed, i, time, here) {
  const [start, end] = [keys[i], keys[i + 1]];
  const [one, two] = [start.given, end.given];
  const whole = (time - one.frame) / (two.frame - one.frame);
  const smooth = passed[i];
  const even = one.ease === "linear";
  const share = smooth || even ? whole : eased(whole, one.ease.slice(SEGMENT.length));
  const line = (/** @type {Vector} */ a, /** @type {Vector} */ b, /** @type {keyof import("./passing_keys.mjs").Slopes} */ name) =>
    smooth ? hermite(a, b, smooth[name][0], smooth[name][1], share) : blendVectors(a, b, share);
  const number = (/** @type {"roll"|"focal"} */ name) =>
    smooth ? line([one[name], 0, 0], [two[name], 0, 0], name)[0] : blend(one[name], two[name], share);
  const curve = (/** @type {"stand"|"orbit"} */ name, /** @type {(key: ResolvedKey) => Vector|null} */ read) => {
    const [a, b] = [/** @type {Vector} */ (read(start)), /** @type {Vector} */ (read(end))];
    if (smooth || even || document.position_interpolation === "linear") return line(a, b, name);
    const outer = [i > 0 ? read(keys[i - 1]) : null, i + 2 < keys.length ? read(keys[i + 2]) : null];
    return catmullRom(outer[0], a, b, outer[1], share);
  };
  /** @type {Vector} */
  let position;
  /** @type {Orbit|null} */
  let orbit = null;
  if (one.orbit !== null && two.orbit !== null) {
    const [azimuth, elevation, reach] = curve("orbit", (key) => key.given.orbit && orbitVector(key.given.orbit));
    const target = line(resolve(one.orbit.target, here), resolve(two.orbit.target, here), "target");
    const distance = Math.max(reach, NEAREST);
    const offset = orbitOffset(azimuth, elevation, distance);
    position = [target[0] + offset[0], target[1] + offset[1], target[2] + offset[2]];
    const named = said(one.orbit.target, two.orbit.target, target);
    const degrees = 180 / Math.PI;
    if (named) orbit = { azimuth: azimuth * degrees, elevation: elevation * degrees, distance, target: named };
  } else {
    position = curve("stand", (key) => key.stand);
  }
  /** @type {Quaternion|null} */
  let turned = null;
  /** @type {Target|null} */
  let goal = null;
  if (one.look_at !== null && two.look_at !== null) {
    const point = line(resolve(one.look_at, here), resolve(two.look_at, here), "goal");
    turned = aim(position, point);
    goal = said(one.look_at, two.look_at, point);
  }
  if (turned === null) {
    goal = null;
    if (smooth) turned = turning(start.aim, end.aim, smooth.turn[0], smooth.turn[1], share);
    else if (even || document.orientation_interpolation === "slerp") turned = greatArc(start.aim, end.aim, share);
    else turned = squad(start.aim, end.aim, start.inner, end.inner, share);
  }
  const [roll, focal] = [number("roll"), number("focal")];
  return { position, quaternion: rolled(turned, roll), focal, roll, orbit, goal };
}

/** A target between two, as a key can say it: none where one of the two alone moves. @param {Target} one @param {Target} two @param {Vector} point @returns {Target|null} */
function said(one, two, point) {
  if (typeof one !== "string" && typeof two !== "string") return one.every((part, n) => part === two[n]) ? one : point;
  return one === two ? one : null;
}

/** @param {import("./document.mjs").Orbit} orbit @returns {Vector} */
function orbitVector(orbit) {
  return [(orbit.azimuth * Math.PI) / 180, (orbit.elevation * Math.PI) / 180, orbit.distance];
}

/** @param {Vector|"subject"|null} target @param {Vector|null} subject @returns {Vector} */
function resolve(target, subject) {
  const point = typeof target === "string" ? subject : target;
  if (!point) throw new Error("A key follows the subject; sample_move needs the subject's positions.");
  return point;
}

/**
 * The subject at each clip frame, in scene scales in the base camera's axes: rule 7.
 * @param {PathDocument} document @param {Source} source @param {number} sceneScale @returns {Vector[]}
 */
export function subjectInBase(document, source, sceneScale) {
  const given = /** @type {Vector[]} */ (document.subject);
  const first = source.worldFromCamera.slice(0, 16);
  const points = [];
  for (let frame = 0; frame < source.frames; frame += 1) {
    const time = documentTime(frame, source.frames, document.frames);
    const k = Math.min(Math.floor(time), document.frames - 1);
    const n = Math.min(k + 1, document.frames - 1);
    const local = blendVectors(given[k], given[n], time - k).map((part) => sceneScale * part);
    const world = transformPoint(first, local);
    const inside = transformPoint(rigidInverse(basePose(document, source, frame)), world);
    points.push(inside.map((part) => part / sceneScale));
  }
  return points;
}
