/**
 * The clip that a path is drawn on: its own camera and its unit, from a run of the node or, before the first run, a
 * stand-in that looks at an empty room.
 *
 * @typedef {object} Clip
 * @property {boolean} known whether a run told us; a stand-in is false
 * @property {number} frames @property {number} fps @property {number} width pixels @property {number} height pixels
 * @property {number} sceneScale world units
 * @property {object} source its own camera, as sampling.mjs takes it
 */

export const STANDIN_FRAMES = 81;
export const STANDIN_FPS = 16;
const STANDIN_SIZE = [832, 480];
const STANDIN_FOCAL = 0.9; // times the width: about 58 degrees across

/** A still camera, as long as the document that is to be drawn. @returns {Clip} */
export function standinClip(document) {
  const frames = document?.frames ?? STANDIN_FRAMES;
  const [width, height] = document?.aspect ?? STANDIN_SIZE;
  const fps = document?.fps ?? STANDIN_FPS;
  const worldFromCamera = new Float64Array(16 * frames);
  const intrinsics = new Float64Array(9 * frames);
  const focal = STANDIN_FOCAL * Math.max(width, height);
  for (let frame = 0; frame < frames; frame += 1) {
    for (let side = 0; side < 4; side += 1) worldFromCamera[16 * frame + 5 * side] = 1;
    intrinsics.set([focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1], 9 * frame);
  }
  return clipOf({ frames, width, height, fps, worldFromCamera, intrinsics }, 1, false);
}

/** @returns {Clip} */
export function clipOf(source, sceneScale, known = true) {
  const { frames, fps, width, height } = source;
  return { known, frames, fps, width, height, sceneScale, source };
}

/** The clip's own camera at a frame. */
export function sourceAt(clip, frame) {
  const { worldFromCamera, intrinsics } = clip.source;
  return {
    worldFromCamera: worldFromCamera.subarray(16 * frame, 16 * frame + 16),
    intrinsics: intrinsics.subarray(9 * frame, 9 * frame + 9),
  };
}

/** The camera that a document's keys at `frame` are relative to. */
export function baseAt(document, clip, frame) {
  const at = document.base === "first_frame" ? 0 : Math.min(Math.max(Math.round(frame), 0), clip.frames - 1);
  return sourceAt(clip, at);
}

/** Whether the clip's camera stands still, so that its axes are those of the world at every frame. */
export function standsStill(document, clip) {
  if (document.base === "first_frame") return true;
  const poses = clip.source.worldFromCamera;
  for (let index = 16; index < poses.length; index += 1) {
    if (Math.abs(poses[index] - poses[index % 16]) > 1e-9 * clip.sceneScale) return false;
  }
  return true;
}
