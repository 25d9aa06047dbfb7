/**
 * What a keyframe document may hold: the checks of `cameras/keyframes/documents.py`, in its order and in its words.
 *
 * @typedef {import("./document.mjs").PathDocument} PathDocument
 * @typedef {import("./document.mjs").Key} Key
 * @typedef {import("./linear.mjs").Vector} Vector
 */

import { EASES } from "./easing.mjs";
import { formatG, isObject, shown } from "./json_text.mjs";
import { distance, orbitOffset } from "./linear.mjs";

export const FORMAT = "track2view.camera_path";
export const VERSION = 1;
export const UNITS = Object.freeze(["scene_scale"]);
export const BASES = Object.freeze(["source", "first_frame"]);
export const POSITION_INTERPOLATIONS = Object.freeze(["catmull_rom", "linear"]);
export const ORIENTATION_INTERPOLATIONS = Object.freeze(["squad", "slerp"]);

export const MOST_KEYS = 10_000;
export const MOST_FRAMES = 100_000;
/** scene scales */
export const FARTHEST = 1e6;
export const MOST_DEGREES = 1e5;
/** degrees of elevation: straight above its target a camera has no upright */
export const STEEPEST = 89;
export const FOCAL_RANGE = Object.freeze([0.01, 100]);
/** scene scales between a camera and what it looks at */
export const NEAREST = 1e-6;
export const SUBJECT = "subject";

/** Throws an Error of one sentence for the first field that does not hold. @param {PathDocument} document */
export function validate(document) {
  whole(document.frames, "field frames", 1, MOST_FRAMES);
  number(document.fps, "field fps", 0.01, 1000);
  if (document.aspect !== null) {
    if (!Array.isArray(document.aspect) || document.aspect.length !== 2) {
      throw wrong("field aspect", document.aspect, "must be null or [width, height] in whole pixels");
    }
    for (const side of document.aspect) whole(side, "field aspect", 1, 100_000);
  }
  choice(document.unit, "field unit", UNITS);
  choice(document.base, "field base", BASES);
  choice(document.position_interpolation, "field position_interpolation", POSITION_INTERPOLATIONS);
  choice(document.orientation_interpolation, "field orientation_interpolation", ORIENTATION_INTERPOLATIONS);
  const { subject, keys } = document;
  if (subject !== null) {
    if (!Array.isArray(subject) || subject.length !== document.frames) {
      const wanted = `must be null or a list of ${document.frames} points [x, y, z], one a frame`;
      throw wrong("field subject", subject, wanted);
    }
    subject.forEach((point, frame) => vector(point, `field subject at frame ${frame}`));
  }
  keys.forEach((key, index) => {
    const where = `key ${index + 1}, field`;
    checkKey(key, where, document);
    if (index > 0 && key.frame <= keys[index - 1].frame) {
      const wanted = `must be after frame ${shown(keys[index - 1].frame)} of key ${index}; sort the keys, one a frame`;
      throw wrong(`${where} frame`, key.frame, wanted);
    }
  });
}

/** @param {Key} key @param {string} where @param {PathDocument} document */
function checkKey(key, where, document) {
  number(key.frame, `${where} frame`, 0, document.frames - 1, "a frame of the document");
  for (const [name, other] of /** @type {const} */ ([["position", "orbit"], ["look_at", "quaternion"]])) {
    const given = [name, other].filter((field) => key[/** @type {keyof Key} */ (field)] !== null).length;
    if (given !== 1) {
      const came = given ? `${name} and ${other} both came` : `neither ${name} nor ${other} came`;
      throw new Error(capital(`${where} ${name}: ${came}; give exactly one of them.`));
    }
  }
  if (key.position !== null) vector(key.position, `${where} position`);
  if (key.orbit !== null) checkOrbit(key.orbit, `${where} orbit`, document);
  if (key.look_at !== null) {
    target(key.look_at, `${where} look_at`, document);
    const stands = keyPosition(key);
    if (stands !== null && typeof key.look_at !== "string" && distance(stands, key.look_at) < NEAREST) {
      throw wrong(`${where} look_at`, key.look_at, "must be another point than the one where the camera stands");
    }
  }
  if (key.quaternion !== null) {
    vector(key.quaternion, `${where} quaternion`, 4);
    const length = Math.sqrt(key.quaternion.reduce((sum, part) => sum + part * part, 0));
    if (Math.abs(length - 1) > 1e-3) {
      throw wrong(`${where} quaternion`, key.quaternion, "must be w, x, y, z of length 1");
    }
  }
  number(key.roll, `${where} roll`, -MOST_DEGREES, MOST_DEGREES, "degrees");
  number(key.focal, `${where} focal`, FOCAL_RANGE[0], FOCAL_RANGE[1], "a factor on the base camera's focal length");
  choice(key.ease, `${where} ease`, Object.keys(EASES));
}

/** @param {any} orbit @param {string} where @param {PathDocument} document */
function checkOrbit(orbit, where, document) {
  if (!isObject(orbit)) throw wrong(where, orbit, "must be an object with azimuth, elevation, distance and target");
  number(orbit.azimuth, `${where}.azimuth`, -MOST_DEGREES, MOST_DEGREES, "degrees");
  number(orbit.elevation, `${where}.elevation`, -STEEPEST, STEEPEST, "degrees");
  number(orbit.distance, `${where}.distance`, NEAREST, FARTHEST, "scene scales");
  target(orbit.target, `${where}.target`, document);
}

/**
 * Where a key's camera stands, in the base camera's axes; null where that takes the subject and none is given.
 * @param {Key} key @param {Vector|null} [subject] @returns {Vector|null}
 */
export function keyPosition(key, subject = null) {
  if (key.orbit === null) return key.position;
  const around = typeof key.orbit.target === "string" ? subject : key.orbit.target;
  if (around === null) return null;
  const azimuth = (key.orbit.azimuth * Math.PI) / 180;
  const elevation = (key.orbit.elevation * Math.PI) / 180;
  const [x, y, z] = orbitOffset(azimuth, elevation, key.orbit.distance);
  return [around[0] + x, around[1] + y, around[2] + z];
}

/** @param {any} value @param {string} where @param {PathDocument} document */
function target(value, where, document) {
  if (typeof value !== "string") return vector(value, where);
  if (value !== SUBJECT) throw wrong(where, value, "must be three finite numbers or 'subject'");
  if (document.subject === null) throw wrong(where, value, "needs the document's field subject, which is missing");
  return undefined;
}

/** @param {any} value @param {string} where @param {number} count */
function vector(value, where, count = 3) {
  const words = count === 3 ? "three" : "four";
  if (!Array.isArray(value) || value.length !== count || !value.every(isNumber)) {
    throw wrong(where, value, `must be ${words} finite numbers`);
  }
  if (Math.max(...value.map((part) => Math.abs(Number(part)))) > FARTHEST) {
    throw wrong(where, value, `must be ${words} finite numbers of at most ${formatG(FARTHEST)}`);
  }
}

/** @param {any} value @param {string} where @param {number} least @param {number} most @param {string} [what] */
function number(value, where, least, most, what = "") {
  if (!isNumber(value) || !(least <= value && value <= most)) {
    const kind = what ? `${what}, ` : "";
    throw wrong(where, value, `must be ${kind}a number from ${formatG(least)} to ${formatG(most)}`);
  }
}

/** @param {any} value @param {string} where @param {number} least @param {number} most */
function whole(value, where, least, most) {
  if (!isNumber(value) || !Number.isInteger(Number(value)) || !(least <= value && value <= most)) {
    throw wrong(where, value, `must be a whole number from ${least} to ${most}`);
  }
}

/** @param {any} value @param {string} where @param {readonly string[]} allowed */
function choice(value, where, allowed) {
  if (typeof value !== "string" || !allowed.includes(value)) {
    throw wrong(where, value, `must be ${allowed.map((name) => `'${name}'`).join(" or ")}`);
  }
}

/** A finite number; true and false are none. @param {any} value @returns {value is number} */
export function isNumber(value) {
  return (typeof value === "number" || typeof value === "bigint") && Number.isFinite(Number(value));
}

/** @param {string} where @param {any} value @param {string} wanted */
function wrong(where, value, wanted) {
  return new Error(capital(`${where}: ${shown(value)} came; it ${wanted}.`));
}

/** @param {string} sentence */
function capital(sentence) {
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
}
