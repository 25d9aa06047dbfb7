/** The world pane's drawing: floor, both paths, cameras, keys and what they look at. Points are drawn elsewhere. */

import { sourceAt } from "./clip.mjs";
import { cutAtNear, projector } from "./lenses.mjs";
import { goalInWorld, standOf, worldFromBase } from "./poses.mjs";
import { blockEdges } from "./standin_scene.mjs";
import { COLOURS } from "./style.mjs";
import { subjectNow } from "./subject.mjs";
import { axesOf } from "./viewpoint.mjs";

const HANDLE = 7; // half a diamond, px
const REACH = 12; // px within which a handle is taken
const FRUSTUM = 0.2; // scene scales
const AXES = { x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1] };

/** Handles of the document in the world: keys, and what chosen keys look at. */
export function handlesOf(store) {
  const { document, clip, selection } = store;
  const handles = document.keys.map((key) => ({
    kind: "key",
    frame: key.frame,
    chosen: selection.includes(key.frame),
    world: worldFromBase(document, clip, key.frame, standOf(document, clip, key)),
  }));
  for (const key of document.keys) {
    const goal = goalInWorld(document, clip, key);
    if (goal) handles.push({ kind: "target", frame: key.frame, chosen: selection.includes(key.frame), world: goal });
  }
  return handles;
}

/** The handle under the pointer; keys before targets, the nearest of each. */
export function handleAt(store, lens, at) {
  const project = projector(lens);
  const near = handlesOf(store)
    .map((handle) => ({ ...handle, ...project(handle.world) }))
    .filter(({ x, y, depth }) => depth > 0 && Math.hypot(x - at.x, y - at.y) < REACH)
    .filter(({ kind, chosen }) => kind === "key" || chosen);
  const order = (handle) => (handle.kind === "key" ? 0 : 1000) + Math.hypot(handle.x - at.x, handle.y - at.y);
  return near.sort((a, b) => order(a) - order(b))[0] ?? null;
}

export function drawFloor(context, lens, floor, sceneScale) {
  const [half, step] = [3 * sceneScale, 0.25 * sceneScale];
  for (let at = -half; at <= half + 1e-9; at += step) {
    const main = Math.abs(at / (4 * step) - Math.round(at / (4 * step))) < 1e-6;
    context.strokeStyle = COLOURS.grid;
    context.globalAlpha = main ? 0.9 : 0.4;
    context.lineWidth = 1;
    line(context, lens, [at, floor, sceneScale - half], [at, floor, sceneScale + half]);
    line(context, lens, [-half, floor, sceneScale + at], [half, floor, sceneScale + at]);
  }
  context.globalAlpha = 1;
}

export function drawBlocks(context, lens, floor, sceneScale) {
  context.strokeStyle = COLOURS.faint;
  context.lineWidth = 1;
  for (const [from, to] of blockEdges(sceneScale, floor)) line(context, lens, from, to);
}

export function drawWorld(context, lens, store, { hover, lock, viewpoint }) {
  const { clip, document, sampled, frame, selection } = store;
  const project = projector(lens);
  const size = FRUSTUM * clip.sceneScale;
  path(context, lens, clip.source.worldFromCamera, COLOURS.source, 1.5);
  path(context, lens, sampled.worldFromCamera, COLOURS.target, 2.25);
  for (const key of document.keys) {
    context.globalAlpha = selection.includes(key.frame) ? 0.9 : 0.35;
    const at = Math.min(Math.round(key.frame), clip.frames - 1);
    frustum(context, lens, sourceAt({ source: sampled }, at), clip, 0.7 * size, COLOURS.target, 1);
  }
  context.globalAlpha = 1;
  frustum(context, lens, sourceAt(clip, frame), clip, size, COLOURS.source, 1.5);
  frustum(context, lens, store.cameraAt(), clip, size, store.draft ? COLOURS.picked : COLOURS.target, 2, !!store.draft);
  if (lock) lockLine(context, lens, lock);
  for (const handle of handlesOf(store)) {
    const at = project(handle.world);
    if (at.depth <= 0) continue;
    if (handle.kind === "target") target(context, handle, at, project, store);
    else {
      diamond(context, at.x, at.y, HANDLE, handle.chosen, isHover(hover, handle));
      label(context, at, String(Math.round(handle.frame)), handle.chosen);
    }
  }
  drawSubject(context, project, store);
  gizmo(context, viewpoint, lens.width, lens.height);
}

const isHover = (hover, handle) => hover?.kind === handle.kind && hover.frame === handle.frame;

export function diamond(context, x, y, half, chosen, hovered = false) {
  const reach = hovered ? half + 2 : half;
  context.beginPath();
  context.moveTo(x, y - reach);
  context.lineTo(x + reach, y);
  context.lineTo(x, y + reach);
  context.lineTo(x - reach, y);
  context.closePath();
  context.fillStyle = chosen ? COLOURS.picked : COLOURS.target;
  context.strokeStyle = chosen ? COLOURS.target : "#000000";
  context.lineWidth = chosen ? 2.5 : 1.25;
  context.fill();
  context.stroke();
}

function label(context, { x, y }, words, chosen) {
  context.font = `${chosen ? "600 " : ""}11px system-ui, sans-serif`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.strokeStyle = COLOURS.ground;
  context.strokeText(words, x + 11, y);
  context.fillStyle = chosen ? COLOURS.picked : COLOURS.target;
  context.fillText(words, x + 11, y);
}

/** A ring around what moves turn around, and around a point whose menu is open. */
export function drawSubject(context, project, store) {
  const world = subjectNow(store);
  if (world !== null) ring(context, project(world), 8, COLOURS.subject);
  if (store.target) ring(context, project(store.target.world), 11, COLOURS.picked);
}

function ring(context, at, radius, colour) {
  if (at.depth <= 0) return;
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(at.x, at.y, radius, 0, 2 * Math.PI);
  context.stroke();
}

export function crosshair(context, { x, y }, colour, half = 7) {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x, y, half * 0.6, 0, 2 * Math.PI);
  for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + across * half * 0.35, y + down * half * 0.35);
    context.lineTo(x + across * half * 1.4, y + down * half * 1.4);
  }
  context.stroke();
}

function target(context, handle, at, project, store) {
  if (!handle.chosen) {
    context.globalAlpha = 0.5;
    crosshair(context, at, COLOURS.target, 5);
    context.globalAlpha = 1;
    return;
  }
  const key = store.document.keys.find((other) => other.frame === handle.frame);
  const from = project(worldFromBase(store.document, store.clip, key.frame, standOf(store.document, store.clip, key)));
  if (from.depth > 0) {
    context.setLineDash([4, 4]);
    context.strokeStyle = COLOURS.picked;
    context.lineWidth = 1;
    stroke(context, from, at);
    context.setLineDash([]);
  }
  crosshair(context, at, COLOURS.picked);
}

function path(context, lens, poses, colour, width) {
  const frames = poses.length / 16;
  const place = (frame) => [poses[16 * frame + 3], poses[16 * frame + 7], poses[16 * frame + 11]];
  const project = projector(lens);
  context.strokeStyle = colour;
  context.lineWidth = width;
  for (let frame = 1; frame < frames; frame += 1) line(context, lens, place(frame - 1), place(frame));
  if (frames > 400) return;
  context.fillStyle = colour;
  for (let frame = 0; frame < frames; frame += 1) {
    const at = project(place(frame));
    if (at.depth <= 0) continue;
    context.beginPath();
    context.arc(at.x, at.y, width * 0.9, 0, 2 * Math.PI);
    context.fill();
  }
}

function frustum(context, lens, camera, clip, size, colour, width, dashed = false) {
  const [m, k] = [camera.worldFromCamera, camera.intrinsics];
  const corner = (px, py) => {
    const [x, y] = [((px - k[2]) / k[0]) * size, ((py - k[5]) / k[4]) * size];
    return [0, 4, 8].map((row) => m[row] * x + m[row + 1] * y + m[row + 2] * size + m[row + 3]);
  };
  const eye = [m[3], m[7], m[11]];
  const corners = [[0, 0], [clip.width, 0], [clip.width, clip.height], [0, clip.height]].map((at) => corner(...at));
  const roof = corner(clip.width / 2, -0.3 * clip.height);
  context.strokeStyle = colour;
  context.lineWidth = width;
  if (dashed) context.setLineDash([5, 3]);
  corners.forEach((from, index) => {
    line(context, lens, eye, from);
    line(context, lens, from, corners[(index + 1) % 4]);
  });
  line(context, lens, corners[0], roof);
  line(context, lens, corners[1], roof);
  context.setLineDash([]);
}

function lockLine(context, lens, { axis, world, length }) {
  const way = AXES[axis];
  const ends = [-1, 1].map((side) => world.map((value, index) => value + side * length * way[index]));
  context.strokeStyle = COLOURS.axes[axis];
  context.lineWidth = 1.25;
  line(context, lens, ends[0], ends[1]);
}

function gizmo(context, viewpoint, width, height) {
  const { right, down } = axesOf(viewpoint);
  const [x, y] = [width - 28, height - 28];
  context.font = "600 10px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const [name, way] of Object.entries(AXES)) {
    const along = (axis) => way.reduce((sum, value, index) => sum + value * axis[index], 0);
    const end = { x: x + 17 * along(right), y: y + 17 * along(down) };
    context.strokeStyle = COLOURS.axes[name];
    context.fillStyle = COLOURS.axes[name];
    context.lineWidth = 1.5;
    stroke(context, { x, y }, end);
    context.fillText(name.toUpperCase(), x + 1.4 * (end.x - x), y + 1.4 * (end.y - y));
  }
}

function line(context, lens, from, to) {
  const ends = cutAtNear(lens, from, to);
  if (ends === null) return;
  const project = projector(lens);
  stroke(context, project(ends[0]), project(ends[1]));
}

function stroke(context, from, to) {
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x, to.y);
  context.stroke();
}

