/**
 * How a camera passes its keys: `cameras/keyframes/passing_keys.py`, whose rules stand in `sampling.py`. Slopes are per
 * share of the segment.
 *
 * @typedef {import("./float_geometry.mjs").Vector} Vector
 * @typedef {import("./float_geometry.mjs").Quaternion} Quaternion
 * @typedef {[Vector, Vector]} Ends leaving the first key, arriving at the second
 *
 * @typedef {object} Passing what a key is, as far as passing it goes
 * @property {number} frame
 * @property {string} ease
 * @property {Vector} stand
 * @property {Quaternion} aim
 * @property {Vector|null} orbit azimuth and elevation in radians, distance
 * @property {number} roll
 * @property {number} focal
 * @property {Vector[]|null} targets of the orbit, at the times of the key before, this one, the next
 * @property {Vector[]|null} goals what it looks at, at these times
 *
 * @typedef {{stand: Ends, orbit: Ends, target: Ends, goal: Ends, turn: Ends, roll: Ends, focal: Ends}} Slopes
 */

import { SMOOTH } from "./document.mjs";
import {
  ZERO,
  aim,
  conjugate,
  difference,
  dot,
  joining,
  length,
  limited,
  logarithm,
  negated,
  offsetSlope,
  orbitSlope,
  passing,
  product,
  times,
} from "./float_geometry.mjs";

/** What a segment that is not smooth starts and ends with, in its mean speeds. @type {Record<string, number>} */
const STARTS = { linear: 1, segment_linear: 1, segment_ease_out: 2 };
/** @type {Record<string, number>} */
const ENDS = { linear: 1, segment_linear: 1, segment_ease_in: 2 };
const STEP = 1e-3;

/** For each segment between two keys its slopes; null where it is not smooth. @param {Passing[]} keys @returns {(Slopes|null)[]} */
export function slopes(keys) {
  const segments = keys.slice(0, -1).map((key, s) => ({
    time: keys[s + 1].frame - key.frame,
    smooth: key.ease === SMOOTH,
    orbits: key.orbit !== null && keys[s + 1].orbit !== null,
    looks: key.goals !== null && keys[s + 1].goals !== null,
  }));
  if (!segments.some(({ smooth }) => smooth)) return segments.map(() => null);
  const channel = (/** @type {(segment: number, key: number) => Vector|null} */ gains) => channelOf(keys, segments, gains);
  const stand = channel((s) => difference(keys[s].stand, keys[s + 1].stand));
  const orbit = channel((s) => around(keys, s));
  const target = channel((s, key) => (segments[s].orbits ? gain(keys[s].targets, keys[s + 1].targets, s, key) : null));
  joinOrbits(keys, segments, orbit, stand);
  const goal = channel((s, key) => gain(keys[s].goals, keys[s + 1].goals, s, key));
  const turn = channel((s) => turned(keys, s));
  joinTurns(keys, segments, turn, { stand, orbit, target, goal });
  const roll = channel((s) => [keys[s + 1].roll - keys[s].roll, 0, 0]);
  const focal = channel((s) => [keys[s + 1].focal - keys[s].focal, 0, 0]);
  return segments.map(({ smooth }, s) => smooth ? {
    stand: stand[s], orbit: orbit[s], target: target[s], goal: goal[s], turn: turn[s], roll: roll[s], focal: focal[s],
  } : null);
}

/** @param {Passing[]} keys @param {any[]} segments @param {(segment: number, key: number) => Vector|null} gains @returns {Ends[]} */
function channelOf(keys, segments, gains) {
  /** @type {Ends[]} */
  const ends = segments.map(() => [ZERO, ZERO]);
  for (let key = 1; key < keys.length - 1; key += 1) {
    const [before, after] = [gains(key - 1, key), gains(key, key)];
    if (before === null || after === null) continue;
    const [one, two] = [segments[key - 1], segments[key]];
    if (one.smooth && two.smooth) [ends[key - 1][1], ends[key][0]] = passing(before, after, one.time, two.time);
    else if (one.smooth) ends[key - 1][1] = joining(after, before, two.time, one.time, STARTS[keys[key].ease] ?? 0);
    else ends[key][0] = joining(before, after, one.time, two.time, ENDS[keys[key - 1].ease] ?? 0);
  }
  return ends;
}

/** @param {Passing[]} keys @param {number} s @returns {Vector|null} */
function around(keys, s) {
  const [one, two] = [keys[s].orbit, keys[s + 1].orbit];
  return one === null || two === null ? null : difference(one, two);
}

/** At the time of one key, so that what moves with the subject counts as standing. @param {Vector[]|null} one @param {Vector[]|null} two @param {number} segment @param {number} key */
function gain(one, two, segment, key) {
  if (one === null || two === null) return null;
  return key === segment ? difference(one[1], two[0]) : difference(one[2], two[1]);
}

/** @param {Passing[]} keys @param {number} s */
function turned(keys, s) {
  return logarithm(product(conjugate(keys[s].aim), keys[s + 1].aim));
}

/** @param {Passing[]} keys @param {any[]} segments @param {Ends[]} orbit @param {Ends[]} stand */
function joinOrbits(keys, segments, orbit, stand) {
  segments.forEach(({ orbits, smooth }, segment) => {
    const whole = around(keys, segment);
    if (!orbits || !smooth || whole === null) return;
    for (const [end, neighbour] of [[0, segment - 1], [1, segment + 1]]) {
      if (neighbour < 0 || neighbour >= segments.length || segments[neighbour].orbits) continue;
      const here = /** @type {Vector} */ (keys[segment + end].orbit);
      const slope = orbitSlope(here[0], here[1], here[2], stand[segment][end]);
      orbit[segment][end] = limited(slope, 3 * length(whole));
    }
  });
}

/** @param {Passing[]} keys @param {any[]} segments @param {Ends[]} turn @param {{stand: Ends[], orbit: Ends[], target: Ends[], goal: Ends[]}} others */
function joinTurns(keys, segments, turn, { stand, orbit, target, goal }) {
  segments.forEach(({ looks, smooth, time }, segment) => {
    if (looks || !smooth) return;
    for (const [end, neighbour] of [[0, segment - 1], [1, segment + 1]]) {
      const other = segments[neighbour];
      if (!other?.looks || !other.smooth) continue;
      const far = 1 - end;
      const key = keys[segment + end];
      let moves = stand[neighbour][far];
      if (other.orbits && key.orbit !== null) {
        const [azimuth, elevation, reach] = key.orbit;
        moves = plus(offsetSlope(azimuth, elevation, reach, orbit[neighbour][far]), target[neighbour][far], 1);
      }
      const looked = lookingSlope(key, moves, goal[neighbour][far]);
      const size = length(looked);
      const most = size > 0 ? Math.min(size * (time / other.time), 3 * length(turned(keys, segment))) : 0;
      turn[segment][end] = size > 0 ? times(looked, most / size) : ZERO;
    }
  });
}

/** @param {Passing} key @param {Vector} moves @param {Vector} goalMoves @returns {Vector} */
function lookingSlope(key, moves, goalMoves) {
  const goal = key.goals === null ? ZERO : key.goals[1];
  const one = aim(plus(key.stand, moves, -STEP), plus(goal, goalMoves, -STEP));
  let two = aim(plus(key.stand, moves, STEP), plus(goal, goalMoves, STEP));
  if (one === null || two === null) return ZERO;
  if (dot(one, two) < 0) two = negated(two);
  return times(logarithm(product(conjugate(one), two)), 1 / (2 * STEP));
}

/** @param {Vector} place @param {Vector} slope @param {number} share @returns {Vector} */
function plus(place, slope, share) {
  return [place[0] + share * slope[0], place[1] + share * slope[1], place[2] + share * slope[2]];
}
