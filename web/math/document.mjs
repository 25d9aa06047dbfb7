/**
 * The keyframe document: a camera path as a person draws it. `cameras/keyframes/documents.py` in JavaScript: the same texts are read, the same refused with the same sentence, and written the same to the byte.
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
 * @property {string} ease of the segment that follows
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

import { closeName } from "./close_names.mjs";
import { FORMAT, MOST_KEYS, VERSION, isNumber, validate } from "./document_checks.mjs";
import { JsonError, JsonTooLarge, JsonTwice, isObject, pythonNumber, readJson, shown } from "./json_text.mjs";
import { blendVectors } from "./linear.mjs";

export { BASES, FORMAT, SUBJECT, VERSION, keyPosition } from "./document_checks.mjs";

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
  position: null, orbit: null, look_at: null, quaternion: null, roll: 0, focal: 1, ease: "linear",
});

/**
 * A keyframe document of JSON text or of the object it stands for; nothing is mended.
 *
 * A key without look_at and quaternion looks at its orbit's target, or as the base camera does.
 * @param {string|object} textOrObject @returns {PathDocument}
 * @throws {Error} one sentence that names the field, and the key (counted from 1)
 */
export function parseDocument(textOrObject) {
  const content = checkedHeader(typeof textOrObject === "string" ? readText(textOrObject) : textOrObject);
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

/** Canonical JSON, equal to Python's `to_json` to the byte. @param {PathDocument} document @returns {string} */
export function toJson(document) {
  const fields = { format: FORMAT, version: VERSION };
  for (const name of ["frames", "fps", "aspect", "unit", "base", "position_interpolation", "orientation_interpolation", "subject"]) {
    Object.assign(fields, { [name]: document[/** @type {keyof PathDocument} */ (name)] });
  }
  const keys = document.keys.map((key) => {
    const place = key.orbit === null ? { position: key.position } : { orbit: key.orbit };
    const turn = key.look_at !== null ? { look_at: key.look_at } : { quaternion: key.quaternion };
    return { frame: key.frame, ...place, ...turn, roll: key.roll, focal: key.focal, ease: key.ease };
  });
  return written({ ...fields, keys });
}

/** @param {any} value @returns {string} */
function written(value) {
  if (typeof value === "number") return pythonNumber(value);
  if (Array.isArray(value)) return `[${value.map(written).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}:${written(part)}`).join(",")}}`;
}

/** @param {any} content @returns {Record<string, any>} */
function checkedHeader(content) {
  if (!isObject(content)) {
    throw new Error(`A camera path document must be a JSON object, such as ${EXAMPLE}; ${shown(content)} came.`);
  }
  const { format = null, version = null } = content;
  if (format !== FORMAT) throw new Error(`Field format: ${shown(format)} came; it must be '${FORMAT}'.`);
  if (!isNumber(version) || !Number.isInteger(Number(version)) || version < 1) {
    throw new Error(`Field version: ${shown(version)} came; it must be ${VERSION}.`);
  }
  if (version > VERSION) {
    throw new Error(
      `Field version: ${shown(version)} came; this release reads up to ${VERSION}, so update Track2View.`,
    );
  }
  return content;
}

/** @param {string} text @returns {any} */
function readText(text) {
  if (text.length > MOST_CHARACTERS) {
    throw new Error(`The camera path text has ${text.length} characters; it must have at most ${MOST_CHARACTERS}.`);
  }
  if (!text.trim()) throw new Error(`The camera path text is empty; paste ${EXAMPLE}.`);
  try {
    return readJson(text);
  } catch (error) {
    if (error instanceof JsonError) {
      const place = `at line ${error.line}, column ${error.column}`;
      throw new Error(`The camera path text is no JSON: ${error.message} ${place}; paste ${EXAMPLE}.`);
    }
    if (error instanceof JsonTwice) {
      throw new Error(`Field ${shown(error.message)} is given twice in one object; keep one of them.`);
    }
    if (!(error instanceof JsonTooLarge)) throw error;
    throw new Error(`The camera path text is JSON that is too deep or holds too long a number; paste ${EXAMPLE}.`);
  }
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
    const near = name.length < 80 ? closeName(name, known) : null;
    const hint = near !== null ? `perhaps '${near}' is meant` : `it may have ${known.join(", ")}`;
    throw new Error(`${where} has no field ${shown(name)}; ${hint}.`);
  }
  for (const name of required) {
    if (!Object.hasOwn(content, name)) throw new Error(`${where} lacks the field '${name}'; it must be given.`);
  }
}

/** Checked, with numbers as numbers, and frozen to the bottom. @param {PathDocument} document @returns {PathDocument} */
function frozen(document) {
  validate(document);
  return frozenValue(document);
}

/** @param {any} value @returns {any} a frozen copy */
function frozenValue(value) {
  if (Array.isArray(value)) return Object.freeze(value.map(frozenValue));
  if (!isObject(value)) return typeof value === "bigint" ? Number(value) : value;
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([name, part]) => [name, frozenValue(part)])));
}
