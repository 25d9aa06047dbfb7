/** The timeline: frames of the clip, how much of the new view the points cover, the keys, and how fast the camera goes. */

import { FAIR, POOR } from "./coverage.mjs";
import { COLOURS } from "./style.mjs";
import { paceOf } from "./pace.mjs";
import { diamond } from "./world_view.mjs";

const LEFT = 98;
const RIGHT = 16;
const RULER = 20; // px from the top
const BAND = { top: 24, height: 14 };
const KEYS = { top: 42, height: 26 };
const SPEED = { top: 70, height: 24 };
const REACH = 9; // px

export function frameAt(x, width, frames) {
  return ((x - LEFT) / Math.max(width - LEFT - RIGHT, 1)) * (frames - 1);
}

export function placeOf(frame, width, frames) {
  return LEFT + (frames > 1 ? frame / (frames - 1) : 0) * (width - LEFT - RIGHT);
}

/** What lies under the pointer: a key, the keys' row, or the rest, where it scrubs. */
export function partAt(store, at, width) {
  const { document, clip } = store;
  if (at.y < KEYS.top || at.y >= SPEED.top) return { kind: "scrub" };
  const near = document.keys
    .map((key) => ({ frame: key.frame, away: Math.abs(placeOf(key.frame, width, clip.frames) - at.x) }))
    .filter(({ away }) => away <= REACH)
    .sort((a, b) => a.away - b.away)[0];
  return near ? { kind: "key", frame: near.frame } : { kind: "row" };
}

export function drawTimeline(context, width, height, store, { coverage, hover }) {
  const { frames } = store.clip;
  const place = (frame) => placeOf(frame, width, frames);
  labels(context);
  ruler(context, width, height, frames, place);
  band(context, frames, place, coverage, store);
  holds(context, store, place);
  speed(context, store, place);
  for (const key of store.document.keys) {
    const chosen = store.selection.includes(key.frame);
    diamond(context, place(key.frame), KEYS.top + KEYS.height / 2, 7, chosen, hover === key.frame);
  }
  playhead(context, place(store.frame), height, store.frame);
}

function labels(context) {
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = COLOURS.faint;
  context.fillText("frames", 8, RULER / 2 + 1);
  context.fillText("coverage", 8, BAND.top + BAND.height / 2);
  context.fillText("keys", 8, KEYS.top + KEYS.height / 2);
  context.fillText("speed", 8, SPEED.top + SPEED.height / 2);
}

function ruler(context, width, height, frames, place) {
  const room = (width - LEFT - RIGHT) / Math.max(frames - 1, 1);
  const step = [1, 2, 4, 5, 8, 10, 16, 20, 40, 50, 80, 100, 200, 400, 500, 1000, 5000].find((every) => every * room >= 44) ?? 10000;
  context.textAlign = "center";
  context.lineWidth = 1;
  for (let frame = 0; frame < frames; frame += step) {
    context.fillStyle = COLOURS.text;
    context.fillText(String(frame), place(frame), RULER / 2 + 1);
    context.fillStyle = COLOURS.grid;
    context.fillRect(Math.round(place(frame)), RULER, 1, height - RULER);
  }
}

export function lightOf(share) {
  if (share < POOR) return COLOURS.poor;
  return share < FAIR ? COLOURS.fair : COLOURS.good;
}

function band(context, frames, place, coverage, { points, frame: shown }) {
  const half = (place(1) - place(0)) / 2 || 4;
  context.fillStyle = "#1f242e";
  context.fillRect(place(0), BAND.top, Math.max(place(frames - 1) - place(0), 6), BAND.height);
  context.textAlign = "left";
  if (coverage === null) {
    context.fillStyle = COLOURS.faint;
    const words = points !== null ? "counting" : "shown after the first run: red where much of the picture is invented";
    context.fillText(words, place(0) + 4, BAND.top + BAND.height / 2);
    return;
  }
  coverage.forEach((share, frame) => {
    context.fillStyle = lightOf(share);
    const tall = Math.max(3, share * BAND.height);
    const [from, to] = [Math.max(place(frame) - half, place(0)), Math.min(place(frame) + half + 0.5, place(frames - 1))];
    context.fillRect(from, BAND.top + BAND.height - tall, frames > 1 ? to - from : 6, tall);
  });
  const here = coverage[Math.min(shown, coverage.length - 1)];
  if (!Number.isFinite(here)) return;
  context.fillStyle = lightOf(here);
  context.textAlign = "right";
  context.fillText(`${Math.floor(100 * here)} %`, LEFT - 8, BAND.top + BAND.height / 2);
}

/** Between two keys a line, dashed where the camera holds. */
function holds(context, store, place) {
  const { keys } = store.document;
  const y = KEYS.top + KEYS.height / 2;
  context.strokeStyle = COLOURS.target;
  context.lineWidth = 1.5;
  keys.slice(0, -1).forEach((key, index) => {
    context.globalAlpha = store.selection.includes(key.frame) ? 1 : 0.4;
    context.setLineDash(key.ease === "hold" ? [2, 5] : []);
    context.beginPath();
    context.moveTo(place(key.frame), y);
    context.lineTo(place(keys[index + 1].frame), y);
    context.stroke();
  });
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** How fast the move goes from frame to frame, as a share of its own fastest. */
function speed(context, store, place) {
  const pace = paceOf(store);
  const low = SPEED.top + SPEED.height - 3;
  context.strokeStyle = COLOURS.grid;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(place(0), low + 0.5);
  context.lineTo(place(store.clip.frames - 1), low + 0.5);
  context.stroke();
  const most = pace.reduce((a, b) => Math.max(a, b), 0);
  if (most < 1e-6) return;
  context.beginPath();
  context.moveTo(place(0), low);
  pace.forEach((value, frame) => context.lineTo(place(frame + 0.5), low - (SPEED.height - 5) * (value / most)));
  context.lineTo(place(store.clip.frames - 1), low);
  context.fillStyle = COLOURS.target;
  context.globalAlpha = 0.25;
  context.fill();
  context.globalAlpha = 1;
  context.strokeStyle = COLOURS.target;
  context.lineWidth = 1.25;
  context.stroke();
}

function playhead(context, x, height, frame) {
  context.strokeStyle = COLOURS.picked;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x, RULER - 2);
  context.lineTo(x, height);
  context.stroke();
  const words = String(frame);
  const wide = Math.max(22, context.measureText(words).width + 10);
  context.fillStyle = COLOURS.picked;
  context.beginPath();
  context.roundRect(x - wide / 2, 2, wide, RULER - 4, 4);
  context.fill();
  context.fillStyle = "#13161c";
  context.textAlign = "center";
  context.fillText(words, x, RULER / 2 + 1);
}
