/**
 * Both views' tracks, as a run of Preview Re-camera leaves them in ComfyUI's temp folder; `preview/pair_file.py` writes
 * the file and says what lies where.
 *
 * @typedef {object} Pairs
 * @property {number} frames F, kept frames, spread evenly over the clip
 * @property {number} count N
 * @property {Uint32Array} tracks N, each track's index in the pairs
 * @property {Uint8Array} colors 3 N, as the pair view draws the tracks
 * @property {{source: {width: number, height: number}, target: {width: number, height: number}}} size pixels
 * @property {{source: Uint16Array, target: Uint16Array}} steps 2 N F
 * @property {Uint8Array} visibility F rows of ceil(N / 8) bytes, lowest bit first
 */

import { readPackedFile } from "./packed_file.mjs";

const KIND = "T2VV";
const VERSION = 1;
const FARTHEST = 65534;
const NOWHERE = 65535;

/** @param {ArrayBuffer} buffer @returns {Pairs} @throws {Error} one sentence */
export function readPairs(buffer) {
  const { header, section } = readPackedFile(buffer, KIND, VERSION, "run Preview Re-camera again");
  return {
    frames: header.frames,
    count: header.count,
    tracks: section("tracks", Uint32Array),
    colors: section("colors", Uint8Array),
    size: { source: header.source, target: header.target },
    steps: { source: section("source", Uint16Array), target: section("target", Uint16Array) },
    visibility: section("visible", Uint8Array),
  };
}

/** The kept frame nearest to a share of the clip's time. @param {Pairs} pairs @param {number} share 0..1 */
export function frameAt(pairs, share) {
  return Math.min(Math.max(Math.round(share * (pairs.frames - 1)), 0), pairs.frames - 1);
}

/**
 * Where a track is in a view, in shares of the picture's width and height; null where it is not inside.
 * @param {Pairs} pairs @param {"source"|"target"} view @param {number} frame a kept one @param {number} track 0 .. N - 1
 * @returns {[number, number]|null}
 */
export function placeIn(pairs, view, frame, track) {
  const at = 2 * (frame * pairs.count + track);
  const [x, y] = [pairs.steps[view][at], pairs.steps[view][at + 1]];
  return x === NOWHERE && y === NOWHERE ? null : [x / FARTHEST, y / FARTHEST];
}

/** Whether the tracker saw a track in the source view. @param {Pairs} pairs @param {number} frame @param {number} track */
export function seenIn(pairs, frame, track) {
  return ((pairs.visibility[Math.ceil(pairs.count / 8) * frame + (track >> 3)] >> (track & 7)) & 1) === 1;
}

/**
 * The track nearest to a place in a view; null where none is within reach.
 * @param {Pairs} pairs @param {"source"|"target"} view @param {number} frame a kept one
 * @param {number} x share of the width @param {number} y share of the height
 * @param {number} reach share of the height @returns {number|null}
 */
export function nearestTrack(pairs, view, frame, x, y, reach) {
  const aspect = pairs.size[view].width / pairs.size[view].height;
  let best = null;
  let least = reach;
  for (let track = 0; track < pairs.count; track += 1) {
    const place = placeIn(pairs, view, frame, track);
    const away = place === null ? Infinity : Math.hypot((place[0] - x) * aspect, place[1] - y);
    if (away <= least) [best, least] = [track, away];
  }
  return best;
}
