/** The editor's own rules, without a page: what is written and when, and what its edits leave as it was. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { cameraAt } from "../../web/math/sampling.mjs";
import { project } from "../../web/math/projection.mjs";
import { toJson } from "../../web/math/document.mjs";
import { presetFamilies } from "../../web/editor/chrome.mjs";
import { clipOf, sourceAt } from "../../web/editor/clip.mjs";
import {
  lookingAt,
  orbiting,
  withKeyHere,
  withKeysCarried,
  withKeysShifted,
  withOwnDirections,
  withPreset,
  withTargetsCarried,
  withoutKeys,
} from "../../web/editor/edits.mjs";
import { look, move, roll, zoom } from "../../web/editor/flying.mjs";
import { handlesOf } from "../../web/editor/world_view.mjs";
import { framing, firstViewpoint, lensOf, panned, turned, viewFrom } from "../../web/editor/viewpoint.mjs";
import { cutAtNear, projector } from "../../web/editor/lenses.mjs";
import { paceOf } from "../../web/editor/pace.mjs";
import { pivotOf } from "../../web/editor/subject.mjs";
import { Store } from "../../web/editor/store.mjs";

const FRAMES = 33;

/** A clip whose camera walks to the right and turns. */
function walkedClip() {
  const worldFromCamera = new Float64Array(16 * FRAMES);
  const intrinsics = new Float64Array(9 * FRAMES);
  for (let frame = 0; frame < FRAMES; frame += 1) {
    const [angle, way] = [0.3 * Math.sin(frame / 9), (0.4 * frame) / FRAMES];
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    worldFromCamera.set([c, 0, s, way, 0, 1, 0, 0.02 * frame, -s, 0, c, 0, 0, 0, 0, 1], 16 * frame);
    intrinsics.set([300, 0, 160, 0, 300, 120, 0, 0, 1], 9 * frame);
  }
  return clipOf({ frames: FRAMES, width: 320, height: 240, fps: 8, worldFromCamera, intrinsics }, 2.5);
}

function drawn(preset = "arc_right") {
  const written = [];
  const store = new Store((text) => written.push(text));
  store.setClip(walkedClip());
  if (preset) store.edit(withPreset(store.document, preset, 1));
  return { store, written };
}

const still = (point) => Array.from({ length: FRAMES }, () => point);
const near = (a, b, tolerance = 1e-5) =>
  Array.from(a).forEach((value, index) => assert.ok(Math.abs(value - b[index]) < tolerance, `${a} is not ${b}`));
const cameraOf = (store, frame) => cameraAt(store.document, store.clip.source, store.clip.sceneScale, frame);

test("only acts of the user write the text", () => {
  const { store, written } = drawn(null);
  store.load("");
  store.setClip(walkedClip());
  store.setFrame(9);
  store.preview(withPreset(store.document, "dolly_in", 1));
  store.cancel();
  move(store, 0.1, 0, 0);
  assert.deepEqual(written, []);
  store.edit(withPreset(store.document, "dolly_in", 1));
  assert.equal(written.length, 1);
  const { text } = store;
  store.load(text);
  store.edit(store.document);
  assert.equal(written.length, 1, "an act that changes nothing writes nothing");
});

test("undo leads back to the very text, the empty one too, and redo forth", () => {
  const { store, written } = drawn("pan_left");
  const first = store.text;
  store.edit(withPreset(store.document, "spiral", 0.5));
  const second = store.text;
  store.undo();
  assert.equal(store.text, first);
  store.undo();
  assert.deepEqual([store.text, store.document.keys.length, store.canUndo], ["", 0, false]);
  store.undo();
  store.redo();
  store.redo();
  assert.deepEqual([store.text, store.canRedo], [second, false]);
  assert.deepEqual(written.at(-1), second);
});

test("a text that is no document is said so and left alone until the next act", () => {
  const { store, written } = drawn(null);
  store.load('{"format": "something"}');
  assert.match(store.problem, /^Field format/);
  assert.deepEqual(written, []);
  store.edit(withPreset(store.document, "roll", 1));
  assert.equal(store.problem, "");
  store.undo();
  assert.equal(store.text, '{"format": "something"}');
});

test("on a clip of another length the keys are shown rescaled and written with the next act", () => {
  const { store } = drawn("truck_left");
  const { text } = store;
  const longer = new Store();
  longer.load(text);
  assert.equal(longer.clip.frames, FRAMES, "before a run the document says how long the clip is");
  const clip = walkedClip();
  longer.setClip(clipOf({ ...clip.source, frames: 17 }, clip.sceneScale));
  assert.deepEqual(longer.document.keys.map((key) => key.frame), [0, 16]);
  assert.equal(longer.text, text);
  longer.edit(withoutKeys(longer.document, [16]));
  assert.equal(JSON.parse(longer.text).frames, 17);
});

test("what a connected path says is shown, and the first act starts from it", () => {
  const { store } = drawn("crane_up");
  const other = new Store();
  other.setClip(walkedClip(), null, store.document);
  assert.deepEqual([other.text, toJson(other.document)], ["", store.text]);
  other.edit(withoutKeys(other.document, [FRAMES - 1]));
  assert.equal(other.document.keys.length, 1);
});

for (const [text, words] of [["", "a chip's path"], ["segment_smooth", "a path with eases of its own"]]) {
  test(`a key set in the middle of ${words} does not stop the camera`, () => {
    const { store } = drawn("truck_left");
    if (text) store.edit({ ...store.document, keys: store.document.keys.map((key) => ({ ...key, ease: text })) });
    const smooth = paceOf(store);
    store.edit(withKeyHere(store.document, store.clip, 16, null), [16]);
    const pace = paceOf(store);
    assert.equal(store.document.keys.length, 3);
    assert.ok(Math.min(...pace.slice(8, 24)) > 0.6 * Math.min(...smooth.slice(8, 24)), String(pace));
    assert.ok(pace[0] < 0.2 * pace[16] && pace.at(-1) < 0.2 * pace[16], "it starts and ends softly");
  });
}

for (const preset of ["truck_left", "arc_right", "pan_right"]) {
  test(`a key set on the path of ${preset} leaves the camera where it is`, () => {
    const { store } = drawn(preset);
    for (const frame of [0, 11, FRAMES - 1]) {
      const before = cameraOf(store, frame);
      store.edit(withKeyHere(store.document, store.clip, frame, null), [frame]);
      const after = cameraOf(store, frame);
      near(after.worldFromCamera, before.worldFromCamera);
      near(after.intrinsics, before.intrinsics, 1e-2);
    }
    assert.equal(store.document.keys.length, 3);
  });

  test(`a key of ${preset} is carried by exactly the way of the pointer`, () => {
    const { store } = drawn(preset);
    const last = FRAMES - 1;
    const before = handlesOf(store).find(({ frame }) => frame === last).world;
    store.edit(withKeysCarried(store.document, store.clip, [last], [0.2, -0.1, 0.3]), [last]);
    near(handlesOf(store).find(({ frame }) => frame === last).world, [before[0] + 0.2, before[1] - 0.1, before[2] + 0.3]);
    near(handlesOf(store)[0].world, [0, 0, 0]);
  });

  test(`the keys of ${preset} look the same way when they look on their own`, () => {
    const { store } = drawn(preset);
    const before = [0, FRAMES - 1].map((frame) => cameraOf(store, frame).worldFromCamera);
    const own = withOwnDirections(store.document, store.clip, []);
    assert.ok(own.keys.every((key) => key.look_at === null));
    store.edit(own);
    [0, FRAMES - 1].forEach((frame, index) => near(cameraOf(store, frame).worldFromCamera, before[index]));
  });
}

const pixelOf = ({ worldFromCamera, intrinsics }, point) => project(worldFromCamera, intrinsics, 320, 240, point).xy;

for (const base of ["source", "first_frame"]) {
  for (const [kind, track] of [["a still point", still([0.4, 0.3, 3])], ["a moving point", Array.from({ length: FRAMES }, (_, t) => [0.02 * t, 0.1, 3])]]) {
    const drawnFrom = (preset) => {
      const { store } = drawn(preset);
      return [store, { ...store.document, base }];
    };
    const own = (store, frame) => sourceAt(store.clip, base === "source" ? frame : 0);

    test(`a path that looks at ${kind} turns to it from the clip's own picture and then holds it, from ${base}`, () => {
      for (const [preset, from] of [[null, 13], ["truck_right", FRAMES - 1], ["arc_right", 0]]) {
        const [store, document] = drawnFrom(preset);
        store.edit(lookingAt(document, store.clip, [], track));
        if (from > 0) near(cameraOf(store, 0).worldFromCamera, own(store, 0).worldFromCamera);
        for (let frame = from; frame < FRAMES; frame += 4) near(pixelOf(cameraOf(store, frame), track[frame]), [160, 120], 0.05);
      }
    });

    test(`a path that goes around ${kind} shows it at its keys where the clip does, from ${base}`, () => {
      for (const preset of [null, "truck_right"]) {
        const [store, document] = drawnFrom(preset);
        store.edit(orbiting(document, store.clip, [], track));
        near(cameraOf(store, 0).worldFromCamera, own(store, 0).worldFromCamera);
        for (const frame of [0, FRAMES - 1]) near(pixelOf(cameraOf(store, frame), track[frame]), pixelOf(own(store, frame), track[frame]), 0.05);
      }
    });
  }
}

/** Two points of the clip: one that stands to the right and one to the left, nearer; the run found the second. */
function pointsOf(clip) {
  const [right, left] = [[0.8, 0.1, 3], [-0.6, -0.2, 2]];
  return {
    count: 2, moving: 0, sceneScale: clip.sceneScale, subject: left.map((value) => value / clip.sceneScale), source: clip.source,
    packedFrames: 1, tracks: Uint32Array.of(7, 4), still: Float32Array.of(...right, ...left), steps: new Uint16Array(0),
    box: { low: [0, 0, 0], step: [1, 1, 1] },
  };
}

test("chips turn about the chosen subject, from the clip's own picture, whichever was chosen before", () => {
  const clip = clipOf({ ...walkedClip().source, worldFromCamera: stillPoses() }, 2.5);
  const store = new Store();
  store.setClip(clip, pointsOf(clip));
  for (const [about, point] of [[{ how: "auto" }, [-0.6, -0.2, 2]], [{ how: "point", track: 7 }, [0.8, 0.1, 3]], [{ how: "ahead" }, [0, 0, 2.5]]]) {
    store.setAbout(about);
    for (const chip of ["orbit_left", "arc_right", "orbit_right"]) {
      store.edit(withPreset(store.document, chip, 1, pivotOf(store)));
      near(cameraOf(store, 0).worldFromCamera, sourceAt(clip, 0).worldFromCamera);
      near(pixelOf(cameraOf(store, FRAMES - 1), point), pixelOf(sourceAt(clip, 0), point), 0.05);
      const away = ({ worldFromCamera: m }) => Math.hypot(m[3] - point[0], m[7] - point[1], m[11] - point[2]);
      if (chip !== "arc_right") near([away(cameraOf(store, 16))], [away(sourceAt(clip, 0))], 1e-4);
    }
  }
  store.setAbout({ how: "point", track: 99 }); // of another run
  near(pivotOf(store), store.points.subject);
});

function stillPoses() {
  const poses = new Float64Array(16 * FRAMES);
  for (let frame = 0; frame < FRAMES; frame += 1) for (let side = 0; side < 4; side += 1) poses[16 * frame + 5 * side] = 1;
  return poses;
}

test("orbiting a point keeps the places of the keys", () => {
  const { store } = drawn("truck_right");
  const before = handlesOf(store).filter(({ kind }) => kind === "key").map(({ world }) => world);
  store.edit(orbiting(store.document, store.clip, [], still([0.4, 0.3, 3])));
  handlesOf(store).filter(({ kind }) => kind === "key").forEach(({ world }, index) => near(world, before[index], 1e-4));
});

test("keys that followed another point keep looking where it was when one key follows a new one", () => {
  const { store } = drawn("truck_right");
  store.edit(lookingAt(store.document, store.clip, [], still([0.4, 0.3, 3])));
  store.edit(lookingAt(store.document, store.clip, [0], still([-0.5, 0, 2])), [0]);
  const { keys } = store.document;
  assert.equal(keys[0].look_at, "subject");
  const { worldFromCamera, intrinsics } = cameraOf(store, FRAMES - 1);
  near(project(worldFromCamera, intrinsics, 320, 240, [0.4, 0.3, 3]).xy, [160, 120], 0.05);
});

test("a subject that no key follows any more is dropped", () => {
  const { store } = drawn("truck_right");
  store.edit(lookingAt(store.document, store.clip, [], still([0.4, 0.3, 3])));
  assert.equal(store.document.subject.length, FRAMES);
  store.edit(withTargetsCarried(store.document, store.clip, [0, FRAMES - 1], [0.1, 0, 0]));
  assert.equal(store.document.subject, null);
});

test("keys move in time as far as there is room, and never onto another", () => {
  const { store } = drawn("truck_right");
  store.edit(withKeyHere(store.document, store.clip, 10, null));
  assert.deepEqual(withKeysShifted(store.document, [10], -10).frames, [1]);
  assert.deepEqual(withKeysShifted(store.document, [10], 99).frames, [FRAMES - 2]);
  assert.deepEqual(withKeysShifted(store.document, [0, 10, FRAMES - 1], 5).frames, [0, 10, FRAMES - 1]);
  assert.deepEqual(withKeysShifted(store.document, [10], 4.4).frames, [14]);
});

test("steering changes what is seen and becomes a key as it is", () => {
  const { store } = drawn("arc_left");
  store.setFrame(12);
  const before = store.cameraAt();
  look(store, 0.2, -0.1);
  move(store, 0.1, -0.2, 0.3);
  roll(store, 7);
  zoom(store, 1.5);
  const flown = store.cameraAt();
  assert.ok(Math.abs(flown.intrinsics[0] / before.intrinsics[0] - 1.5) < 1e-9);
  store.edit(withKeyHere(store.document, store.clip, 12, store.draft), [12]);
  near(store.cameraAt(12).worldFromCamera, flown.worldFromCamera);
  assert.equal(store.draft, null);
});

test("a look to the right and up turns the axis of view that way", () => {
  const { store } = drawn(null);
  look(store, 0.1, 0.2);
  const m = store.cameraAt().worldFromCamera;
  assert.ok(m[2] > 0.09 && m[6] < -0.19);
});

test("a viewpoint turns about its pivot, pans with the pointer and holds what it frames", () => {
  const viewpoint = { ...firstViewpoint(1), pivot: [0.3, -0.2, 1.5] };
  const middle = (v) => projector(lensOf(v, 300, 200))(viewpoint.pivot);
  for (const v of [viewpoint, turned(viewpoint, 70, 20), { ...viewpoint, flat: true }]) near([middle(v).x, middle(v).y], [150, 100], 1e-6);
  const moved = middle(panned(viewpoint, 30, -20, 200));
  near([moved.x, moved.y], [180, 80], 1e-6);
  const points = [[-2, 0, 0], [2, 0.5, 4], [0, -3, 1]];
  const project = projector(lensOf(framing(viewpoint, points, points, 300, 200), 300, 200));
  for (const { x, y } of points.map(project)) assert.ok(x > 0 && x < 300 && y > 0 && y < 200);
});

test("the view from the camera stands where the camera stands", () => {
  const { store } = drawn("arc_right");
  const camera = cameraOf(store, FRAMES - 1);
  const lens = lensOf(viewFrom(firstViewpoint(1), camera, 2.5), 300, 200);
  for (const at of [3, 7, 11, 2, 6, 10]) near([lens.worldFromCamera[at]], [camera.worldFromCamera[at]]);
});

test("lines are cut where they pass behind the camera", () => {
  const lens = { worldFromCamera: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], near: 0.1 };
  assert.equal(cutAtNear(lens, [0, 0, -1], [1, 0, -2]), null);
  near(cutAtNear(lens, [0, 0, -1], [0, 0, 1])[0], [0, 0, 0.1], 1e-12);
});

test("every preset has its place on a chip", () => {
  assert.deepEqual(presetFamilies().flat().length, 20);
  assert.deepEqual(presetFamilies()[1].map(({ title, way }) => [title, way]), [["Pan", "left"], ["Pan", "right"]]);
});
