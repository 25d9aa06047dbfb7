/** Steering the new camera by hand: a draft pose that becomes a key when the user says so. */

import { product } from "../math/linear.mjs";
import { baseAt } from "./clip.mjs";
import { directionOf, poseAt } from "./poses.mjs";

const WIDEST = 0.1;
const LONGEST = 20;

/** The pose to steer from: the draft, or the path's own at this frame. */
export function steered(store) {
  return store.draft ?? { ...poseAt(store.document, store.clip, store.frame), orbit: null };
}

/** Turn by angles in radians, to the right and up; what was looked at is let go. */
export function look(store, right, up) {
  const pose = steered(store);
  const turn = directionOf(store.document, store.clip, store.frame, store.cameraAt(), pose.roll);
  const yaw = [Math.cos(right / 2), 0, Math.sin(right / 2), 0];
  const pitch = [Math.cos(up / 2), Math.sin(up / 2), 0, 0];
  store.setDraft({ ...pose, look_at: null, quaternion: product(product(yaw, turn), pitch) });
}

/** Move along the camera's own ways right, down and forward, in scene scales. */
export function move(store, right, down, forward) {
  const pose = steered(store);
  const m = store.cameraAt().worldFromCamera;
  const base = baseAt(store.document, store.clip, store.frame).worldFromCamera;
  const world = [0, 4, 8].map((row) => m[row] * right + m[row + 1] * down + m[row + 2] * forward);
  const local = [0, 1, 2].map((axis) => base[axis] * world[0] + base[axis + 4] * world[1] + base[axis + 8] * world[2]);
  store.setDraft({ ...pose, position: pose.position.map((value, axis) => value + local[axis]) });
}

export function zoom(store, factor) {
  const pose = steered(store);
  store.setDraft({ ...pose, focal: Math.min(Math.max(pose.focal * factor, WIDEST), LONGEST) });
}

export function roll(store, degrees) {
  const pose = steered(store);
  const quaternion = directionOf(store.document, store.clip, store.frame, store.cameraAt(), pose.roll);
  store.setDraft({ ...pose, quaternion, roll: pose.roll + degrees });
}

const WAYS = {
  KeyW: [0, 0, 1],
  KeyS: [0, 0, -1],
  KeyA: [-1, 0, 0],
  KeyD: [1, 0, 0],
  KeyE: [0, -1, 0],
  KeyQ: [0, 1, 0],
};
const SPEED = 0.45; // scene scales a second

/** Flight by held keys: it draws frames only while a key is down. */
export class Flight {
  #store;
  #held = new Set();
  #request = 0;
  #before = 0;
  fast = false;

  constructor(store) {
    this.#store = store;
  }

  static knows(code) {
    return code in WAYS;
  }

  press(code) {
    this.#held.add(code);
    if (this.#request !== 0) return;
    this.#before = performance.now();
    this.#step(16);
    this.#request = requestAnimationFrame(this.#tick);
  }

  release(code) {
    this.#held.delete(code);
  }

  stop() {
    this.#held.clear();
    cancelAnimationFrame(this.#request);
    this.#request = 0;
  }

  #tick = (now) => {
    this.#request = 0;
    if (this.#held.size === 0) return;
    this.#step(Math.min(now - this.#before, 100));
    this.#before = now;
    this.#request = requestAnimationFrame(this.#tick);
  };

  #step(milliseconds) {
    const reach = ((this.fast ? 3 : 1) * SPEED * Math.max(milliseconds, 1)) / 1000;
    const way = [0, 1, 2].map((axis) => [...this.#held].reduce((sum, code) => sum + WAYS[code][axis], 0) * reach);
    if (way.some((part) => part !== 0)) move(this.#store, ...way);
  }
}
