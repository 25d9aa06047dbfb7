// Answers a list of questions from stdin, `[{name, given}]`, with the modules that the browser loads.
import { readFileSync } from "node:fs";

import { newDocument, parseDocument, rescaled, toJson } from "../../web/math/document.mjs";
import { frameAt, nearestTrack, placeIn, readPairs, seenIn } from "../../web/math/pairs.mjs";
import { colorsOf, keptAt, markShown, meshOf, readMeshes } from "../../web/math/picture_mesh.mjs";
import { positionsAt, readPoints, subjectOf, visibleAt } from "../../web/math/points.mjs";
import { MOVES, PRESETS, presetKeys } from "../../web/math/presets.mjs";
import { project, unproject } from "../../web/math/projection.mjs";
import { sampleDocument } from "../../web/math/sampling.mjs";

const plain = (values) => Array.from(values);

function contentOf(file) {
  const bytes = readFileSync(file);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

function sourceOf({ worldFromCamera, intrinsics, ...rest }) {
  return { ...rest, worldFromCamera: Float64Array.from(worldFromCamera), intrinsics: Float64Array.from(intrinsics) };
}

function sampled(document, source, scale) {
  const path = sampleDocument(document, sourceOf(source), scale);
  return { world_from_camera: plain(path.worldFromCamera), intrinsics: plain(path.intrinsics), notes: path.notes };
}

const ANSWERS = {
  written: ({ document }) => toJson(parseDocument(document)),
  parse: ({ document }) => parseDocument(document),
  fresh: (start) => toJson(newDocument(start)),
  sample: ({ document, source, scale }) => sampled(parseDocument(document), source, scale),
  sample_rescaled: ({ document, frames, source, scale }) =>
    sampled(rescaled(parseDocument(document), frames), source, scale),
  rescaled: ({ document, frames }) => toJson(rescaled(parseDocument(document), frames)),
  project: ({ pose, intrinsics, width, height, points }) => {
    const { xy, depth, inside } = project(pose, intrinsics, width, height, points);
    return { xy: plain(xy), depth: plain(depth), inside: plain(inside) };
  },
  unproject: ({ pose, intrinsics, x, y, depth }) => unproject(pose, intrinsics, x, y, depth),
  moves: () => MOVES,
  presets: () => PRESETS.map(({ name }) => name),
  preset: ({ name, amount, frames, ease, subject, ...fields }) =>
    toJson(parseDocument({ ...parseDocument(newDocument({ frames, ...fields })), keys: presetKeys(name, amount, frames, ease, subject ?? undefined) })),
  pairs: ({ file, shares }) => {
    const pairs = readPairs(contentOf(file));
    const frames = shares.map((share) => frameAt(pairs, share));
    const each = (find) => frames.map((frame) => Array.from({ length: pairs.count }, (_, track) => find(frame, track)));
    return {
      count: pairs.count,
      kept: pairs.frames,
      size: pairs.size,
      frames,
      colors: plain(pairs.colors),
      tracks: plain(pairs.tracks),
      source: each((frame, track) => placeIn(pairs, "source", frame, track)),
      target: each((frame, track) => placeIn(pairs, "target", frame, track)),
      seen: each((frame, track) => seenIn(pairs, frame, track)),
      found: each((frame, track) => {
        const place = placeIn(pairs, "target", frame, track);
        return place && nearestTrack(pairs, "target", frame, place[0], place[1], 0.01);
      }),
      nowhere: nearestTrack(pairs, "source", 0, 9, 9, 0.1),
    };
  },
  meshes: ({ file, frames }) => {
    const meshes = readMeshes(contentOf(file));
    return frames.map((frame) => {
      const kept = keptAt(meshes, frame);
      const { vertices, triangles } = meshOf(meshes, kept);
      const { size, colour } = meshes;
      return { size, colour, time: meshes.times[kept], colors: plain(colorsOf(meshes, kept)), vertices: plain(vertices), triangles: plain(triangles) };
    });
  },
  shown: ({ file, source, targets, intrinsics, width, height }) => {
    const meshes = readMeshes(contentOf(file));
    return targets.map((worldFromCamera) => {
      const counted = { columns: 80, rows: 48, shown: new Uint8Array(80 * 48) };
      markShown(meshes, 0, { worldFromCamera: source, intrinsics }, { worldFromCamera, intrinsics }, { width, height }, counted);
      return plain(counted.shown);
    });
  },
  points: ({ file, frames }) => {
    const points = readPoints(contentOf(file));
    const { source } = points;
    return {
      ...points,
      source: { ...source, worldFromCamera: plain(source.worldFromCamera), intrinsics: plain(source.intrinsics) },
      colors: plain(points.colors),
      tracks: plain(points.tracks),
      still: null,
      steps: null,
      visibility: null,
      positions: frames.map((frame) => plain(positionsAt(points, frame))),
      visible: frames.map((frame) => plain(visibleAt(points, frame))),
      subjects: [0, points.count - 1].map((index) => subjectOf(points, index, frames.length)),
    };
  },
};

const answers = JSON.parse(readFileSync(0, "utf8")).map(({ name, given }) => {
  try {
    return { value: ANSWERS[name](given) };
  } catch (error) {
    return { error: error.message };
  }
});
process.stdout.write(JSON.stringify(answers));
