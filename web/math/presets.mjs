/**
 * Preset moves as keys of a document: `cameras/presets.py` and its table, line by line.
 *
 * @typedef {import("./document.mjs").Key} Key
 *
 * @typedef {object} Move nominal end of a move: degrees, scene scales, signs along the camera's axes
 * @property {number} pan + to the right
 * @property {number} tilt + up
 * @property {number} roll + clockwise as the operator sees it
 * @property {number} truck + right
 * @property {number} rise + up
 * @property {number} dolly + forward
 * @property {number} orbit + the camera goes to the right
 * @property {number} spiral radius at the end of one widening turn about the axis of view
 * @property {boolean} holds_subject
 * @property {boolean} keeps_size
 */

import { FOCAL_RANGE, KEY_EASES, SEGMENT, SMOOTH, keyPosition } from "./document.mjs";
import { eased } from "./easing.mjs";
import { difference, framed, length } from "./float_geometry.mjs";

/** Degrees that two keys hold: beyond, the shortest way goes round the other side. */
const FARTHEST_TURN = 179;
/** Where a move takes its subject to be: one scene scale straight ahead. */
export const SUBJECT_AHEAD = Object.freeze([0, 0, 1]);

const STILL = Object.freeze({
  pan: 0, tilt: 0, roll: 0, truck: 0, rise: 0, dolly: 0, orbit: 0, spiral: 0, holds_subject: false, keeps_size: false,
});

/** name -> what is not 0 @type {Readonly<Record<string, Partial<Move>>>} */
export const MOVES = Object.freeze({
  static: {},
  pan_left: { pan: -30 },
  pan_right: { pan: 30 },
  tilt_up: { tilt: 20 },
  tilt_down: { tilt: -20 },
  roll: { roll: 20 },
  truck_left: { truck: -0.5 },
  truck_right: { truck: 0.5 },
  pedestal_up: { rise: 0.3 },
  pedestal_down: { rise: -0.3 },
  dolly_in: { dolly: 0.4 },
  dolly_out: { dolly: -0.4 },
  orbit_left: { orbit: -30, holds_subject: true },
  orbit_right: { orbit: 30, holds_subject: true },
  arc_left: { orbit: -20, rise: 0.2, holds_subject: true },
  arc_right: { orbit: 20, rise: 0.2, holds_subject: true },
  crane_up: { rise: 0.4, holds_subject: true },
  crane_down: { rise: -0.4, holds_subject: true },
  spiral: { spiral: 0.2, dolly: 0.3, holds_subject: true },
  dolly_zoom: { dolly: 0.4, keeps_size: true },
});

/** In the order to offer them. @type {readonly {name: string, label: string}[]} */
export const PRESETS = Object.freeze(
  Object.keys(MOVES).map((name) => Object.freeze({ name, label: labelOf(name) })),
);

/** @param {string} name */
function labelOf(name) {
  const words = name.replaceAll("_", " ");
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}

/**
 * The keys of a move on `frames` frames; a static move and amount 0 have none. The document's base says what it rides on.
 * @param {string} name one of PRESETS @param {number} amount 1 is the nominal move, negative the other way
 *
 * The move turns around the subject, comes near it and measures its lengths by it. It starts from the base's own picture,
 * and a move that holds the subject holds it where it is in that.
 * @param {number} frames @param {string} [ease] one of EASES
 * @param {readonly number[]} [subject] scene scales in the base camera's axes @returns {Key[]}
 * @throws {Error} one sentence: an unknown name, an amount that reaches the subject or passes the lens's limits
 */
export function presetKeys(name, amount, frames, ease = "smooth", subject = SUBJECT_AHEAD) {
  const move = scaledMove(name, amount);
  eased(0, ease);
  if (!Object.values(move).some((value) => typeof value === "number" && value !== 0)) return [];
  const last = frames - 1;
  const zoom = 1 - move.dolly;
  if (move.keeps_size && !(FOCAL_RANGE[0] <= zoom && zoom <= FOCAL_RANGE[1])) {
    throw new Error(
      `${name} with amount ${amount} takes the focal length times ${zoom.toFixed(2)}; a path document holds ` +
        `${FOCAL_RANGE.join(" to ")}, so bring the amount nearer to 0.`,
    );
  }
  if (last === 0) return [keyAt(move, 0, 1, subject)];
  const turns = Math.max(Math.abs(move.pan), Math.abs(move.tilt), isAhead(subject) ? 0 : Math.abs(move.orbit));
  if (move.spiral || turns > FARTHEST_TURN) {
    return Array.from({ length: frames }, (_, frame) => keyAt(move, frame, eased(frame / last, ease), subject));
  }
  const ofSegment = KEY_EASES.includes(ease) ? ease : SEGMENT + ease; // of two keys alone smooth and linear say the same
  return [keyAt(move, 0, 0, subject, ofSegment), keyAt(move, last, 1, subject, ofSegment)];
}

/** @param {string} name @param {number} amount @returns {Move} */
function scaledMove(name, amount) {
  if (!Object.hasOwn(MOVES, name)) {
    throw new Error(`There is no camera preset '${name}'; it must be one of ${Object.keys(MOVES).join(", ")}.`);
  }
  if (!Number.isFinite(amount)) {
    throw new Error(`The preset's amount is ${amount}; it must be a finite number, 1.0 for the nominal move.`);
  }
  const nominal = { ...STILL, ...MOVES[name] };
  const scaled = /** @type {Move} */ (
    Object.fromEntries(
      Object.entries(nominal).map(([key, value]) => [key, typeof value === "number" ? value * amount : value]),
    )
  );
  if ((scaled.keeps_size || scaled.holds_subject) && scaled.dolly >= 1) {
    throw new Error(
      `${name} with amount ${amount} would move the camera ${scaled.dolly.toFixed(2)} scene scales forward ` +
        `and reach the subject at 1.0; keep the amount below ${1 / nominal.dolly}.`,
    );
  }
  return scaled;
}

/** The camera at a share of the move, 0..1. @param {Move} move @param {number} frame @param {number} share @param {readonly number[]} subject @param {string} [ease] @returns {Key} */
function keyAt(move, frame, share, subject, ease = SMOOTH) {
  const focal = move.keeps_size ? 1 - move.dolly * share : 1;
  const shape = { frame, position: null, orbit: null, look_at: null, quaternion: null, roll: move.roll * share, focal, ease };
  const away = length(/** @type {number[]} */ (subject));
  if (move.orbit) {
    // around an axis that rises with the camera, so that the circle stays level
    const target = [subject[0], subject[1] - away * move.rise * share, subject[2]];
    const [azimuth, elevation] = seenFrom(subject);
    const orbit = { azimuth: azimuth + move.orbit * share, elevation, distance: away, target };
    const key = { ...shape, orbit, look_at: [...subject] };
    return isAhead(subject) ? key : framing(key, subject, move.rise ? null : turnOf(-move.orbit * share, 0));
  }
  const turn = 2 * Math.PI * share;
  const x = away * (move.truck * share + move.spiral * share * Math.sin(turn));
  const y = away * (-move.rise * share - move.spiral * share * Math.cos(turn));
  const nearer = move.dolly * share;
  // along the axis where the lens changes as well: only so does what is beside the middle keep its pixel
  const beside = move.keeps_size ? [0, 0] : subject;
  const position = [x + nearer * beside[0], y + nearer * beside[1], nearer * subject[2]];
  if (move.holds_subject) {
    const key = { ...shape, position, look_at: [...subject] };
    return isAhead(subject) ? key : framing(key, subject, null);
  }
  return { ...shape, position, quaternion: turnOf(move.pan * share, move.tilt * share) };
}

/** @param {readonly number[]} subject */
function isAhead(subject) {
  return subject[0] === 0 && subject[1] === 0;
}

/** Azimuth and elevation in degrees at which the base camera stands, as seen from the subject. @param {readonly number[]} subject */
function seenFrom([x, y, z]) {
  return [(Math.atan2(0 - x, z) * 180) / Math.PI, (Math.atan2(y, Math.sqrt(x * x + z * z)) * 180) / Math.PI];
}

/** The key turned so that the subject is where the base camera shows it. @param {Key} key @param {readonly number[]} subject @param {number[]|null} turn @returns {Key} */
function framing(key, subject, turn) {
  const stand = /** @type {number[]} */ (keyPosition(key));
  return { ...key, look_at: null, quaternion: turn ?? framed([...subject], difference(stand, [...subject])) };
}

/** The turn about the vertical, then about the camera's own x. @param {number} pan degrees @param {number} tilt degrees */
function turnOf(pan, tilt) {
  const yaw = (pan * Math.PI) / 360;
  const pitch = (tilt * Math.PI) / 360;
  return [
    Math.cos(yaw) * Math.cos(pitch),
    Math.cos(yaw) * Math.sin(pitch),
    Math.sin(yaw) * Math.cos(pitch),
    -Math.sin(yaw) * Math.sin(pitch),
  ];
}
