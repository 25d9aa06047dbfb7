/** The eye of the world pane: it goes around a pivot. Angles in degrees, as an orbit of the document tells them. */

import { orbitOffset } from "../math/linear.mjs";
import { projector } from "./lenses.mjs";

const DEGREES = 180 / Math.PI;
const FIELD = 0.42; // half the pane's height over the distance, in perspective
const FLAT_FACTOR = 200; // a parallel view is one from very far through a very long lens
const STEEPEST = 89.9;

export const NAMED_VIEWS = {
  behind: { azimuth: 0, elevation: 0, label: "Behind" },
  right: { azimuth: 90, elevation: 0, label: "Right" },
  top: { azimuth: 0, elevation: STEEPEST, label: "Top" },
  front: { azimuth: 180, elevation: 0, label: "Front" },
  left: { azimuth: -90, elevation: 0, label: "Left" },
  bottom: { azimuth: 0, elevation: -STEEPEST, label: "Below" },
};

export function firstViewpoint(sceneScale) {
  return { pivot: [0, 0, 0.6 * sceneScale], azimuth: 35, elevation: 28, distance: 2.6 * sceneScale, flat: false };
}

export function axesOf({ azimuth, elevation }) {
  const [a, e] = [azimuth / DEGREES, elevation / DEGREES];
  const forward = orbitOffset(a, e, -1);
  const right = [Math.cos(a), 0, Math.sin(a)];
  const down = [
    forward[1] * right[2] - forward[2] * right[1],
    forward[2] * right[0] - forward[0] * right[2],
    forward[0] * right[1] - forward[1] * right[0],
  ];
  return { right, down, forward };
}

/** @returns {import("./lenses.mjs").Lens} */
export function lensOf(viewpoint, width, height) {
  const { right, down, forward } = axesOf(viewpoint);
  const factor = viewpoint.flat ? FLAT_FACTOR : 1;
  const reach = viewpoint.distance * factor;
  const eye = viewpoint.pivot.map((value, axis) => value - forward[axis] * reach);
  const focal = (height / 2 / FIELD) * factor;
  const worldFromCamera = Float64Array.of(
    right[0], down[0], forward[0], eye[0],
    right[1], down[1], forward[1], eye[1],
    right[2], down[2], forward[2], eye[2],
    0, 0, 0, 1,
  );
  const near = viewpoint.flat ? reach - 50 * viewpoint.distance : 0.01 * viewpoint.distance;
  const far = viewpoint.flat ? reach + 50 * viewpoint.distance : 300 * viewpoint.distance;
  return { worldFromCamera, intrinsics: [focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1], width, height, near, far };
}

export function turned(viewpoint, right, up) {
  const elevation = Math.min(Math.max(viewpoint.elevation + up, -STEEPEST), STEEPEST);
  return { ...viewpoint, azimuth: viewpoint.azimuth + right, elevation };
}

/** Move the pivot with the pointer, by pane pixels. */
export function panned(viewpoint, dx, dy, height) {
  const { right, down } = axesOf(viewpoint);
  const unit = (viewpoint.distance * FIELD * 2) / height;
  const pivot = viewpoint.pivot.map((value, axis) => value - (right[axis] * dx + down[axis] * dy) * unit);
  return { ...viewpoint, pivot };
}

export function zoomed(viewpoint, factor) {
  return { ...viewpoint, distance: Math.min(Math.max(viewpoint.distance * factor, 1e-4), 1e6) };
}

/** See the cameras and the middle of the scene, from the same side; points far out do not count. */
export function framing(viewpoint, cameras, scene, width, height) {
  const { right, down, forward } = axesOf(viewpoint);
  const [x, y, z] = [right, down, forward].map((axis) => {
    const along = (p) => p[0] * axis[0] + p[1] * axis[1] + p[2] * axis[2];
    const inner = scene.map(along).sort((a, b) => a - b);
    const middle = inner.slice(Math.floor(0.12 * inner.length), Math.ceil(0.88 * inner.length));
    const all = [...cameras.map(along), ...middle];
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return { centre: (low + high) / 2, half: (high - low) / 2 };
  });
  const pivot = [0, 1, 2].map((index) => right[index] * x.centre + down[index] * y.centre + forward[index] * z.centre);
  const reach = Math.max((x.half * height) / Math.max(width, 1), y.half, 1e-4) / FIELD;
  let result = { ...viewpoint, pivot, distance: 1.1 * reach };
  for (let step = 0; step < 40 && !holds(result, cameras, width, height); step += 1) result = zoomed(result, 1.06);
  return result;
}

/** Whether all points lie well within the pane. */
function holds(viewpoint, points, width, height) {
  const project = projector(lensOf(viewpoint, width, height));
  const within = (at, side) => at > 0.1 * side && at < 0.9 * side;
  return points.map(project).every(({ x, y, depth }) => depth > 0 && within(x, width) && within(y, height));
}

/** Where a camera is and where it looks, as far as a viewpoint can: without its roll. */
export function viewFrom(viewpoint, camera, sceneScale) {
  const m = camera.worldFromCamera;
  const forward = [m[2], m[6], m[10]];
  const pivot = [3, 7, 11].map((at, axis) => m[at] + forward[axis] * sceneScale);
  const elevation = Math.asin(Math.min(Math.max(forward[1], -1), 1)) * DEGREES;
  const azimuth = -Math.atan2(forward[0], forward[2]) * DEGREES;
  return { ...viewpoint, pivot, azimuth, elevation: Math.min(Math.max(elevation, -STEEPEST), STEEPEST), distance: sceneScale, flat: false };
}
