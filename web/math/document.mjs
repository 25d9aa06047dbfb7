/**
 * The keyframe document: a camera path as a person draws it. What `cameras/keyframes/documents.py` takes is taken here and
 * what it refuses is refused, with a sentence that names the field; numbers keep all their digits both ways.
 *
 * @typedef {import("./linear.mjs").Vector} Vector
 * @typedef {Vector|"subject"} Target
 *
 * @typedef {object} Orbit degrees and scene scales around a target; a larger azimuth lies to the right, elevation above
 * @property {number} azimuth
 * @property {number} elevation
 * @property {number} distance
 * @property {Target} target
 *
 * @typedef {object} Key `position` or `orbit`, and `look_at` or `quaternion`; the other of each pair is null
 * @property {number} frame 0 .. frames - 1, whole or not
 * @property {Vector|null} position scene scales in the base camera's axes
 * @property {Orbit|null} orbit
 * @property {Target|null} look_at
 * @property {number[]|null} quaternion w, x, y, z; base_from_camera
 * @property {number} roll degrees, + clockwise as the operator sees it
 * @property {number} focal times the base camera's focal length
 * @property {string} ease one of KEY_EASES, of the segment that follows
 *
 * @typedef {object} PathDocument frozen, all fields present
 * @property {string} format
 * @property {number} version
 * @property {number} frames
 * @property {number} fps
 * @property {[number, number]|null} aspect width and height of the clip it was drawn on
 * @property {string} unit
 * @property {"source"|"first_frame"} base
 * @property {"catmull_rom"|"linear"} position_interpolation
 * @property {"squad"|"slerp"} orientation_interpolation
 * @property {Vector[]|null} subject a moving point, one position a frame, in the first camera's axes
 * @property {readonly Key[]} keys
 */

import { EASES } from "./easing.mjs";
import { blendVectors, distance, orbitOffset } from "./linear.mjs";

const FORMAT = "track2view.camera_path";
const VERSION = 2;
const UNITS = Object.freeze(["scene_scale"]);
const BASES = Object.freeze(["source", "first_frame"]);
const POSITION_INTERPOLATIONS = Object.freeze(["catmull_rom", "linear"]);
const ORIENTATION_INTERPOLATIONS = Object.freeze(["squad", "slerp"]);

const MOST_KEYS = 10_000;
const MOST_FRAMES = 100_000;
/** scene scales */
const FARTHEST = 1e6;
const MOST_DEGREES = 1e5;
/** degrees of elevation: straight above its target a camera has no upright */
const STEEPEST = 89;
export const FOCAL_RANGE = Object.freeze([0.01, 100]);
/** scene scales between a camera and what it looks at */
export const NEAREST = 1e-6;
export const SUBJECT = "subject";
export const SMOOTH = "smooth";
/** Before the name of an ease: the way to the next key by itself, as version 1 had it. */
export const SEGMENT = "segment_";
/** How the camera goes from a key to the next one. */
export const KEY_EASES = Object.freeze([
  SMOOTH, "linear", "hold", ...Object.keys(EASES).map((ease) => SEGMENT + ease),
]);

const MOST_CHARACTERS = 16_000_000;
const EXAMPLE = "the text that the Camera Path Editor copies";

const DOCUMENT_FIELDS = Object.freeze([
  "frames", "keys", "fps", "aspect", "unit", "base", "position_interpolation", "orientation_interpolation", "subject",
]);
const KEY_FIELDS = Object.freeze(["frame", "position", "orbit", "look_at", "quaternion", "roll", "focal", "ease"]);
const ORBIT_FIELDS = Object.freeze(["azimuth", "elevation", "distance", "target"]);

const DEFAULTS = Object.freeze({
  fps: 16,
  aspect: null,
  unit: "scene_scale",
  base: "source",
  position_interpolation: "catmull_rom",
  orientation_interpolation: "squad",
  subject: null,
});
const KEY_DEFAULTS = Object.freeze({
  position: null, orbit: null, look_at: null, quaternion: null, roll: 0, focal: 1, ease: SMOOTH,
});

/**
 * A keyframe document of JSON text or of the object it stands for; nothing is mended.
 *
 * A key without look_at and quaternion looks at its orbit's target, or as the base camera does.
 * @param {string|object} textOrObject @returns {PathDocument}
 * @throws {Error} one sentence that names the field, and the key (counted from 1)
 */
export function parseDocument(textOrObject) {
  const content = migrated(checkedHeader(typeof textOrObject === "string" ? readText(textOrObject) : textOrObject));
  checkNames(content, DOCUMENT_FIELDS, "The camera path document", ["frames", "keys"], ["format", "version"]);
  const { keys } = content;
  if (!Array.isArray(keys) || keys.length > MOST_KEYS) {
    throw new Error(`Field keys: ${shown(keys)} came; it must be a list of at most ${MOST_KEYS} keys.`);
  }
  const read = keys.map((key, index) => readKey(key, index + 1));
  const document = { format: FORMAT, version: VERSION, frames: content.frames, ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) {
    if (Object.hasOwn(content, name)) Object.assign(document, { [name]: content[name] });
  }
  return frozen(/** @type {any} */ ({ ...document, keys: read }));
}

/**
 * A document without keys: its base camera itself.
 * @param {{frames: number, fps?: number, aspect?: [number, number]|null, base?: string}} start @returns {PathDocument}
 */
export function newDocument({ frames, fps = 16, aspect = null, base = "source" }) {
  return parseDocument({ format: FORMAT, version: VERSION, frames, fps, aspect, base, keys: [] });
}

/**
 * The document with some fields changed, checked again: `changed(document, {keys: [...]})`.
 * @param {PathDocument} document @param {Partial<PathDocument>} fields @returns {PathDocument}
 */
export function changed(document, fields) {
  return parseDocument({ ...document, ...fields });
}

/**
 * The document on another number of frames, with its keys and its subject moved in time: on a clip of `frames` frames
 * both say the same path. On one frame the first key alone is left.
 * @param {PathDocument} document @param {number} frames @returns {PathDocument}
 */
export function rescaled(document, frames) {
  if (frames === document.frames) return document;
  const [old, last] = [document.frames - 1, frames - 1];
  const kept = last === 0 ? document.keys.slice(0, 1) : document.keys;
  const keys = kept.map((key) => ({ ...key, frame: old > 0 ? Math.min((key.frame * last) / old, last) : 0 }));
  const given = document.subject;
  const subject = given && Array.from({ length: frames }, (_, frame) => {
    const time = last > 0 ? (frame * old) / last : 0;
    const k = Math.min(Math.floor(time), old);
    return blendVectors(given[k], given[Math.min(k + 1, old)], time - k);
  });
  return changed(document, { frames, keys, subject });
}

/** JSON of all fields in one order, for Python to read. @param {PathDocument} document @returns {string} */
export function toJson(document) {
  const { format, version, keys, ...fields } = document;
  const written = keys.map((key) => {
    const place = key.orbit === null ? { position: key.position } : { orbit: key.orbit };
    const turn = key.look_at !== null ? { look_at: key.look_at } : { quaternion: key.quaternion };
    return { frame: key.frame, ...place, ...turn, roll: key.roll, focal: key.focal, ease: key.ease };
  });
  return JSON.stringify({ format, version, ...fields, keys: written });
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

// --- reading ---------------------------------------------------------------------------------------------------------

/** @param {any} content @returns {Record<string, any>} */
function checkedHeader(content) {
  if (!isObject(content)) {
    throw new Error(`A camera path document must be a JSON object, such as ${EXAMPLE}; ${shown(content)} came.`);
  }
  const { format = null, version = null } = content;
  if (format !== FORMAT) throw new Error(`Field format: ${shown(format)} came; it must be '${FORMAT}'.`);
  if (!isNumber(version) || !Number.isInteger(version) || version < 1) {
    throw new Error(`Field version: ${shown(version)} came; it must be a number from 1 to ${VERSION}.`);
  }
  if (version > VERSION) {
    throw new Error(
      `Field version: ${shown(version)} came; this release reads up to ${VERSION}, so update Track2View.`,
    );
  }
  return content;
}

/**
 * Version 1: every key's ease, linear where it was left out, was that of its own segment. With two keys, which are the
 * path's ends, the smooth and the straight path are the very same.
 * @param {Record<string, any>} content @returns {Record<string, any>} of the newest version
 */
function migrated(content) {
  if (content.version > 1 || !Array.isArray(content.keys)) return content;
  const alone = content.keys.length <= 2;
  const keys = content.keys.map((key) => {
    if (!isObject(key)) return key;
    const ease = Object.hasOwn(key, "ease") ? key.ease : "linear";
    const old = typeof ease === "string" && Object.hasOwn(EASES, ease);
    return { ...key, ease: old && !(alone && KEY_EASES.includes(ease)) ? SEGMENT + ease : ease };
  });
  return { ...content, keys };
}

/** @param {string} text @returns {any} */
function readText(text) {
  if (text.length > MOST_CHARACTERS) {
    throw new Error(`The camera path text has ${text.length} characters; it must have at most ${MOST_CHARACTERS}.`);
  }
  if (!text.trim()) throw new Error(`The camera path text is empty; paste ${EXAMPLE}.`);
  const content = parsed(text);
  const twice = namedTwice(text);
  if (twice !== null) throw new Error(`Field ${shown(twice)} is given twice in one object; keep one of them.`);
  return content;
}

/** @param {string} text @returns {any} */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const found = /** @type {Error} */ (error).message.replace(/\s+/g, " ").slice(0, 120);
    throw new Error(`The camera path text is no JSON (${found}); paste ${EXAMPLE}.`);
  }
}

/** A field that some object of a JSON text has twice: JSON.parse would keep the last. @param {string} text @returns {string|null} */
function namedTwice(text) {
  /** @type {Set<string>[]} */
  const around = [];
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"\s*:?|[{}]/g)) {
    if (token === "{") around.push(new Set());
    else if (token === "}") around.pop();
    else if (token.endsWith(":")) {
      const names = around[around.length - 1];
      const name = JSON.parse(token.slice(0, -1));
      if (names.has(name)) return name;
      names.add(name);
    }
  }
  return null;
}

/** @param {any} content @param {number} number @returns {Key} */
function readKey(content, number) {
  if (!isObject(content)) {
    throw new Error(`Key ${number}: ${shown(content)} came; it must be an object with the fields of a key.`);
  }
  checkNames(content, KEY_FIELDS, `Key ${number}`, ["frame"]);
  /** @type {any} */
  const key = { frame: content.frame, ...KEY_DEFAULTS };
  for (const name of KEY_FIELDS) if (Object.hasOwn(content, name)) key[name] = content[name];
  if (isObject(key.orbit)) {
    checkNames(key.orbit, ORBIT_FIELDS, `Key ${number}, field orbit`, ORBIT_FIELDS);
    const { azimuth, elevation, distance, target } = key.orbit;
    key.orbit = { azimuth, elevation, distance, target };
  }
  if (key.look_at === null && key.quaternion === null) {
    if (isObject(key.orbit)) key.look_at = key.orbit.target;
    else key.quaternion = [1, 0, 0, 0];
  }
  return key;
}

/**
 * @param {Record<string, any>} content @param {readonly string[]} known @param {string} where
 * @param {readonly string[]} required @param {readonly string[]} [others] names that are read elsewhere
 */
function checkNames(content, known, where, required, others = []) {
  for (const name of Object.keys(content)) {
    if (known.includes(name) || others.includes(name)) continue;
    throw new Error(`${where} has no field ${shown(name)}; it may have ${known.join(", ")}.`);
  }
  for (const name of required) {
    if (!Object.hasOwn(content, name)) throw new Error(`${where} lacks the field '${name}'; it must be given.`);
  }
}

/** Checked, and frozen to the bottom. @param {PathDocument} document @returns {PathDocument} */
function frozen(document) {
  validate(document);
  return frozenValue(document);
}

/** @param {any} value @returns {any} a frozen copy */
function frozenValue(value) {
  if (Array.isArray(value)) return Object.freeze(value.map(frozenValue));
  if (!isObject(value)) return value;
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([name, part]) => [name, frozenValue(part)])));
}

// --- what a document may be -------------------------------------------------------------------------------------------

/** Throws an Error of one sentence for the first field that does not hold. @param {PathDocument} document */
function validate(document) {
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
  choice(key.ease, `${where} ease`, KEY_EASES);
}

/** @param {any} orbit @param {string} where @param {PathDocument} document */
function checkOrbit(orbit, where, document) {
  if (!isObject(orbit)) throw wrong(where, orbit, "must be an object with azimuth, elevation, distance and target");
  number(orbit.azimuth, `${where}.azimuth`, -MOST_DEGREES, MOST_DEGREES, "degrees");
  number(orbit.elevation, `${where}.elevation`, -STEEPEST, STEEPEST, "degrees");
  number(orbit.distance, `${where}.distance`, NEAREST, FARTHEST, "scene scales");
  target(orbit.target, `${where}.target`, document);
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
  if (Math.max(...value.map((part) => Math.abs(part))) > FARTHEST) {
    throw wrong(where, value, `must be ${words} finite numbers of at most ${FARTHEST}`);
  }
}

/** @param {any} value @param {string} where @param {number} least @param {number} most @param {string} [what] */
function number(value, where, least, most, what = "") {
  if (!isNumber(value) || !(least <= value && value <= most)) {
    const kind = what ? `${what}, ` : "";
    throw wrong(where, value, `must be ${kind}a number from ${least} to ${most}`);
  }
}

/** @param {any} value @param {string} where @param {number} least @param {number} most */
function whole(value, where, least, most) {
  if (!isNumber(value) || !Number.isInteger(value) || !(least <= value && value <= most)) {
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
function isNumber(value) {
  return Number.isFinite(value);
}

/** @param {any} value @returns {value is Record<string, any>} */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value in few words, however large or deep it is. @param {any} value @returns {string} */
function shown(value) {
  const size = Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : 0;
  if (size > 8) return `a ${Array.isArray(value) ? "list" : "object"} of ${size} entries`;
  if (typeof value !== "object" && typeof value !== "string") return String(value);
  let text = "something too deep to be shown";
  try {
    text = JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

/** @param {string} where @param {any} value @param {string} wanted */
function wrong(where, value, wanted) {
  return new Error(capital(`${where}: ${shown(value)} came; it ${wanted}.`));
}

/** @param {string} sentence */
function capital(sentence) {
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
}
