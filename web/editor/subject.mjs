/**
 * What moves turn around. `store.about` says it: {how: "auto"} is what a run found to be near, central or moving, {how:
 * "ahead"} a point straight ahead at the middle depth, {how: "point", track} a tracked point that was clicked.
 */

import { subjectOf } from "../math/points.mjs";
import { SUBJECT_AHEAD } from "../math/presets.mjs";
import { transformPoint } from "../math/linear.mjs";
import { sourceAt } from "./clip.mjs";
import { baseFromWorld, worldFromBase } from "./poses.mjs";

const NEAREST = 0.05; // scene scales ahead of the camera

/** The index of a chosen point among the points; -1 where there is none. */
export function chosenPoint({ about, points }) {
  return about.how === "point" && points !== null ? points.tracks.indexOf(about.track) : -1;
}

/** The subject in the base camera's axes, in scene scales: where it is for the middle of the time. @returns {number[]} */
export function pivotOf(store) {
  const { about, points } = store;
  if (points === null || about.how === "ahead") return [...SUBJECT_AHEAD];
  const index = chosenPoint(store);
  if (index < 0) return points.subject ?? [...SUBJECT_AHEAD];
  const { clip, document } = store;
  const places = trackInWorld(points, index, clip).map((world, frame) => baseFromWorld(document, clip, frame, world));
  const middle = [0, 1, 2].map((axis) => places.map((place) => place[axis]).sort((a, b) => a - b)[places.length >> 1]);
  return middle[2] > NEAREST ? middle.map((value) => Number(value.toFixed(6))) : [...SUBJECT_AHEAD];
}

/** Where the subject is at the frame that is shown, in the world; null where nothing is known of the clip. */
export function subjectNow(store) {
  const { points, clip, document, frame } = store;
  if (points === null) return null;
  const index = chosenPoint(store);
  if (index < 0) return worldFromBase(document, clip, frame, pivotOf(store));
  return trackInWorld(points, index, clip)[frame];
}

const tracks = new WeakMap();

function trackInWorld(points, index, clip) {
  const known = tracks.get(points);
  if (known?.index === index) return known.track;
  const first = sourceAt(clip, 0).worldFromCamera;
  const track = subjectOf(points, index, clip.frames).map((place) =>
    transformPoint(first, place.map((value) => value * points.sceneScale)));
  tracks.set(points, { index, track });
  return track;
}
