/** The timeline: frames of the clip, how much of the new view the points cover, and the keys. */

import { eased } from "../math/easing.mjs";
import { LOW_COVERAGE } from "./coverage.mjs";
import { COLOURS } from "./style.mjs";
import { diamond } from "./world_view.mjs";

const LEFT = 74;
const RIGHT = 16;
const RULER = 20; // px from the top
const BAND = { top: 24, height: 14 };
const KEYS = { top: 42, height: 32 };
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
  if (at.y < KEYS.top) return { kind: "scrub" };
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
  band(context, width, frames, place, coverage, store.points !== null);
  segments(context, store, place);
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

function band(context, width, frames, place, coverage, known) {
  const half = (place(1) - place(0)) / 2 || 4;
  context.fillStyle = "#1f242e";
  context.fillRect(place(0), BAND.top, Math.max(place(frames - 1) - place(0), 6), BAND.height);
  if (coverage === null) {
    context.fillStyle = COLOURS.faint;
    context.textAlign = "left";
    const words = known ? "counting" : "shown after the first run: red where the model would have to invent";
    context.fillText(words, place(0) + 4, BAND.top + BAND.height / 2);
    return;
  }
  coverage.forEach((share, frame) => {
    context.fillStyle = share < LOW_COVERAGE ? COLOURS.poor : COLOURS.good;
    const tall = Math.max(2, share * BAND.height);
    context.globalAlpha = 0.35 + 0.65 * share;
    if (share < LOW_COVERAGE) context.globalAlpha = 1;
    const [from, to] = [Math.max(place(frame) - half, place(0)), Math.min(place(frame) + half + 0.5, place(frames - 1))];
    context.fillRect(from, BAND.top + BAND.height - tall, frames > 1 ? to - from : 6, tall);
  });
  context.globalAlpha = 1;
}

/** Between two keys the curve of the ease: the share of the way over time. */
function segments(context, store, place) {
  const { keys } = store.document;
  const [low, tall] = [KEYS.top + KEYS.height - 6, KEYS.height - 12];
  keys.slice(0, -1).forEach((key, index) => {
    const [from, to] = [place(key.frame), place(keys[index + 1].frame)];
    context.strokeStyle = COLOURS.target;
    context.globalAlpha = store.selection.includes(key.frame) ? 1 : 0.55;
    context.lineWidth = 1.5;
    context.beginPath();
    for (let step = 0; step <= 24; step += 1) {
      context.lineTo(from + ((to - from) * step) / 24, low - tall * eased(step / 24, key.ease));
    }
    context.stroke();
  });
  context.globalAlpha = 1;
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
