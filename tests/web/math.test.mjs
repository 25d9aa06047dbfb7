// Laws of the browser's modules that need no Python beside them.
import assert from "node:assert/strict";
import { test } from "node:test";

import { changed, newDocument, parseDocument, rescaled, toJson } from "../../web/math/document.mjs";
import { matrixFromQuaternion, multiply4, quaternionFromMatrix, rigid, rigidInverse } from "../../web/math/linear.mjs";
import { PRESETS, presetKeys } from "../../web/math/presets.mjs";
import { newView, project, projectionMatrix, unproject, viewMatrix } from "../../web/math/projection.mjs";
import { cameraAt, sampleDocument } from "../../web/math/sampling.mjs";

const LENS = Float64Array.of(700, 0.5, 410, 0, 712, 238, 0, 0, 1);
const POSE = rigid(matrixFromQuaternion([0.8, 0.2, -0.5, 0.26]), [0.3, -1, 2]);
const [WIDTH, HEIGHT] = [832, 480];

function source(frames) {
  const worldFromCamera = new Float64Array(16 * frames);
  const intrinsics = new Float64Array(9 * frames);
  for (let frame = 0; frame < frames; frame += 1) {
    worldFromCamera.set(rigid(matrixFromQuaternion([1, 0, 0.02 * frame, 0]), [0.1 * frame, 0, 0]), 16 * frame);
    intrinsics.set(LENS, 9 * frame);
  }
  return { frames, width: WIDTH, height: HEIGHT, fps: 16, worldFromCamera, intrinsics };
}

const close = (a, b, tolerance = 1e-12) =>
  a.forEach((value, index) => assert.ok(Math.abs(value - b[index]) <= tolerance, `${a} is not ${b}`));

test("a rigid transform times its inverse is the identity", () => {
  close(Array.from(multiply4(POSE, rigidInverse(POSE))), [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
});

test("a quaternion comes back from its matrix, of three rows and of four", () => {
  for (const q of [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.6, 0.8], [0.5, -0.5, 0.5, -0.5], [1e-9, 0, 1, 0]]) {
    close(quaternionFromMatrix(matrixFromQuaternion(q)), q);
    close(quaternionFromMatrix(rigid(matrixFromQuaternion(q), [1, 2, 3])), q);
  }
});

test("WebGL's matrices put a point where project does", () => {
  const point = unproject(POSE, LENS, 100, 50, 3);
  const { xy, depth, inside } = project(POSE, LENS, WIDTH, HEIGHT, point);
  close(Array.from(xy), [100, 50], 1e-9);
  close(Array.from(depth), [3]);
  assert.deepEqual(Array.from(inside), [1]);
  const apply = (m, v) => [0, 1, 2, 3].map((row) => [0, 1, 2, 3].reduce((sum, c) => sum + m[4 * c + row] * v[c], 0));
  const clip = apply(projectionMatrix(LENS, WIDTH, HEIGHT, 0.01, 100), apply(viewMatrix(POSE), [...point, 1]));
  close([((clip[0] / clip[3] + 1) / 2) * WIDTH, ((1 - clip[1] / clip[3]) / 2) * HEIGHT], [100, 50], 1e-3);
  assert.ok(Math.abs(clip[2] / clip[3]) < 1);
});

test("what is behind the camera, or nowhere, is on no pixel", () => {
  const out = newView(3);
  const points = [...unproject(POSE, LENS, 100, 50, -1), NaN, 0, 0, ...unproject(POSE, LENS, -1, 50, 1)];
  assert.equal(project(POSE, LENS, WIDTH, HEIGHT, points, out), out);
  assert.deepEqual(Array.from(out.inside), [0, 0, 0]);
  assert.deepEqual(Array.from(out.xy.slice(0, 4)), [-WIDTH, -HEIGHT, -WIDTH, -HEIGHT]);
});

test("documents are frozen, and changed ones are others", () => {
  const document = newDocument({ frames: 41, aspect: [832, 480] });
  assert.throws(() => (document.frames = 3), TypeError);
  const drawn = changed(document, { keys: presetKeys("orbit_left", 0.5, 41) });
  assert.equal(document.keys.length, 0);
  assert.throws(() => (drawn.keys[0].orbit.target[0] = 3), TypeError);
  assert.equal(toJson(parseDocument(toJson(drawn))), toJson(drawn));
  assert.throws(() => changed(document, { keys: [{ frame: 0 }] }), /Key 1, field position: neither/);
});

test("rescaled there and back is where it was", () => {
  const document = changed(newDocument({ frames: 41 }), { keys: presetKeys("arc_right", 1, 41) });
  assert.equal(rescaled(document, 41), document);
  assert.equal(toJson(rescaled(rescaled(document, 81), 41)), toJson(document));
  assert.equal(rescaled(document, 1).keys.length, 1);
});

test("one frame alone is the frame of the whole, whatever was asked before", () => {
  const clip = source(17);
  for (const { name } of PRESETS) {
    const document = changed(newDocument({ frames: 17, base: "first_frame" }), { keys: presetKeys(name, 0.8, 17) });
    const path = sampleDocument(document, clip, 2);
    for (const frame of [0, 7, 16]) {
      const camera = cameraAt(document, clip, 2, frame);
      assert.deepEqual(camera.worldFromCamera, path.worldFromCamera.slice(16 * frame, 16 * frame + 16));
      assert.deepEqual(camera.intrinsics, path.intrinsics.slice(9 * frame, 9 * frame + 9));
    }
    assert.notDeepEqual(cameraAt(document, clip, 3, 16).worldFromCamera, name === "dolly_in" && path.worldFromCamera);
  }
});

test("a clip's own camera is not changed by what rides on it", () => {
  const clip = source(5);
  const before = clip.intrinsics.slice();
  sampleDocument(changed(newDocument({ frames: 5 }), { keys: presetKeys("dolly_zoom", 1, 5) }), clip, 2);
  assert.deepEqual(clip.intrinsics, before);
});
