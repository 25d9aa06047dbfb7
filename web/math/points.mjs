/**
 * The packed point cloud that a node's run leaves in ComfyUI's temp folder; `preview/point_cloud.py` writes it and says
 * what lies where. Static points come first, then the moving ones.
 *
 * @typedef {import("./sampling.mjs").Source} Source
 *
 * @typedef {object} Points
 * @property {number} count N
 * @property {number} moving M, the last M of the N points
 * @property {number} sceneScale the subject's distance, world units
 * @property {number[]|null} subject what a move turns around: scene scales in the clip's camera's axes
 * @property {Source} source the clip's own camera, every frame of the clip
 * @property {number} packedFrames F, frames for which moving points and visibility were kept; 120 at most
 * @property {Uint8Array} colors 3 N
 * @property {Uint32Array} tracks N, each point's index in the tracks it came from
 * @property {Float32Array} still 3 (N - M), world
 * @property {Uint16Array} steps 3 M F, moving points in steps of the box, frame after frame
 * @property {Uint8Array} visibility F rows of ceil(N / 8) bytes, lowest bit first
 * @property {{low: number[], step: number[]}} box world
 */

import { readPackedFile } from "./packed_file.mjs";

const KIND = "T2VP";
const VERSION = 1;

/**
 * @param {ArrayBuffer} buffer @returns {Points}
 * @throws {Error} one sentence, where the file is none of ours or cut short
 */
export function readPoints(buffer) {
  const { header, section } = readPackedFile(buffer, KIND, VERSION, "run the Camera Path Editor again");
  const { low, step } = header.box;
  const stillSteps = section("still", Uint16Array);
  const still = new Float32Array(stillSteps.length);
  for (let n = 0; n < still.length; n += 1) still[n] = low[n % 3] + step[n % 3] * stillSteps[n];
  return {
    count: header.counts.points,
    moving: header.counts.moving,
    sceneScale: header.scene_scale,
    subject: header.subject ?? null,
    source: {
      frames: header.frames,
      width: header.width,
      height: header.height,
      fps: header.fps,
      worldFromCamera: section("world_from_camera", Float64Array),
      intrinsics: section("intrinsics", Float64Array),
    },
    packedFrames: header.packed_frames,
    colors: section("colors", Uint8Array),
    tracks: section("tracks", Uint32Array),
    still,
    steps: section("moving", Uint16Array),
    visibility: section("visible", Uint8Array),
    box: { low, step },
  };
}

/**
 * Where every point is at a clip frame. Between kept frames moving points go straight.
 * @param {Points} points @param {number} frame 0 .. T - 1, whole or not
 * @param {Float32Array} [out] 3 N @returns {Float32Array} 3 N, world
 */
export function positionsAt(points, frame, out = new Float32Array(3 * points.count)) {
  const { still, moving, steps, box } = points;
  out.set(still);
  const [before, after, share] = packedTime(points, frame);
  const row = 3 * moving;
  for (let n = 0; n < row; n += 1) {
    const first = steps[before * row + n];
    const step = first + (steps[after * row + n] - first) * share;
    out[still.length + n] = box.low[n % 3] + box.step[n % 3] * step;
  }
  return out;
}

/**
 * Which points the tracker saw in the source view at a clip frame; the nearest kept frame decides.
 * @param {Points} points @param {number} frame @param {Uint8Array} [out] N @returns {Uint8Array} N, 0 or 1
 */
export function visibleAt(points, frame, out = new Uint8Array(points.count)) {
  const [before, after, share] = packedTime(points, frame);
  const row = Math.ceil(points.count / 8) * (share < 0.5 ? before : after);
  for (let n = 0; n < points.count; n += 1) out[n] = (points.visibility[row + (n >> 3)] >> (n & 7)) & 1;
  return out;
}

/**
 * One point at each of `frames` frames spread over the clip, in scene scales in the axes of the source's first camera:
 * what a document's `subject` holds.
 * @param {Points} points @param {number} index 0 .. N - 1 @param {number} frames the document's
 * @returns {number[][]} `frames` of [x, y, z]
 */
export function subjectOf(points, index, frames) {
  const { source, sceneScale, still, box, steps, moving } = points;
  const m = source.worldFromCamera;
  const mover = index - still.length / 3;
  return Array.from({ length: frames }, (_, number) => {
    const time = frames > 1 ? (number * (source.frames - 1)) / (frames - 1) : 0;
    const [before, after, share] = packedTime(points, time);
    const world = [0, 1, 2].map((axis) => {
      if (mover < 0) return still[3 * index + axis];
      const first = steps[3 * (before * moving + mover) + axis];
      const step = first + (steps[3 * (after * moving + mover) + axis] - first) * share;
      return box.low[axis] + box.step[axis] * step;
    });
    const away = [world[0] - m[3], world[1] - m[7], world[2] - m[11]];
    return [0, 1, 2].map((axis) => (m[axis] * away[0] + m[4 + axis] * away[1] + m[8 + axis] * away[2]) / sceneScale);
  });
}

/** @param {Points} points @param {number} frame @returns {[number, number, number]} two kept frames, and the share of the second */
function packedTime(points, frame) {
  const last = points.packedFrames - 1;
  const span = points.source.frames - 1;
  const time = span > 0 ? Math.min(Math.max((frame * last) / span, 0), last) : 0;
  const before = Math.min(Math.floor(time), last);
  return [before, Math.min(before + 1, last), time - before];
}
