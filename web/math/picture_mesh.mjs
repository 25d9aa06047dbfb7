/**
 * The clip as meshes, one a frame, as a node's run leaves them; `preview/picture_mesh.py` writes them and says what lies
 * where. A mesh joins points of a grid over the source's picture; where two surfaces part it is torn.
 *
 * @typedef {object} PictureMeshes
 * @property {number} frames T, of the clip
 * @property {Uint32Array} times F, the clip's frames that were kept
 * @property {{width: number, height: number}} size of the grid
 * @property {{width: number, height: number}} colour pixels
 * @property {number} step inverse depth of one step
 * @property {Uint8Array} colors 3 a pixel, frame after frame
 * @property {Uint16Array} inverse one a point of the grid
 * @property {Uint8Array} torn one bit a cell, rows of whole bytes a frame
 *
 * @typedef {object} Mesh
 * @property {Float32Array} vertices 4 each: share of the picture's width and height, inverse depth, whether it is of the
 *   surface that its triangle shows
 * @property {Uint32Array} triangles 3 vertices each
 */

import { readPackedFile } from "./packed_file.mjs";

const KIND = "T2VM";
const VERSION = 1;
/** Share of inverse depth below which the points of a cell are one surface, whatever was seen between them. */
const ONE_SURFACE = 0.02;

/** @param {ArrayBuffer} buffer @returns {PictureMeshes} @throws {Error} one sentence, where the file is none of ours or cut short */
export function readMeshes(buffer) {
  const { header, section } = readPackedFile(buffer, KIND, VERSION, "run the Camera Path Editor again");
  return {
    frames: header.frames,
    times: section("times", Uint32Array),
    size: header.size,
    colour: header.colour,
    step: header.step,
    colors: section("colors", Uint8Array),
    inverse: section("inverse", Uint16Array),
    torn: section("torn", Uint8Array),
  };
}

/** The kept frame nearest to a frame of the clip. @param {PictureMeshes} meshes @param {number} frame */
export function keptAt(meshes, frame) {
  const last = meshes.times.length - 1;
  return meshes.frames > 1 ? Math.min(Math.max(Math.round((frame * last) / (meshes.frames - 1)), 0), last) : 0;
}

/** The colours of a kept frame. @param {PictureMeshes} meshes @param {number} kept @returns {Uint8Array} */
export function colorsOf(meshes, kept) {
  const count = 3 * meshes.colour.width * meshes.colour.height;
  return meshes.colors.subarray(kept * count, (kept + 1) * count);
}

/**
 * One frame as triangles. A cell that is torn is drawn twice, as the nearer surface and as the farther, each going on up to
 * the cell's middle: so nothing opens between the two unless the camera sees past the nearer one.
 * @param {PictureMeshes} meshes @param {number} kept @returns {Mesh}
 */
export function meshOf(meshes, kept) {
  const { width: w, height: h } = meshes.size;
  const first = kept * w * h;
  const bits = kept * Math.ceil(((h - 1) * (w - 1)) / 8);
  const depth = (/** @type {number} */ at) => meshes.step * meshes.inverse[first + at];
  const torn = [];
  const triangles = [];
  const corners = [0, 1, w, w + 1];
  for (let row = 0, cell = 0; row < h - 1; row += 1) {
    for (let column = 0; column < w - 1; column += 1, cell += 1) {
      const at = row * w + column;
      if ((meshes.torn[bits + (cell >> 3)] >> (cell & 7)) & 1 && parted(meshes, first + at, w)) torn.push(at);
      else triangles.push(at, at + w, at + 1, at + 1, at + w, at + w + 1);
    }
  }
  const vertices = new Float32Array(4 * (w * h + 8 * torn.length));
  let next = 0;
  const put = (/** @type {number} */ at, /** @type {number} */ inverse, /** @type {number} */ own) => {
    const [row, column] = [Math.floor(at / w), at % w];
    vertices[next] = edge(column, w);
    vertices[next + 1] = edge(row, h);
    vertices[next + 2] = inverse;
    vertices[next + 3] = own;
    next += 4;
  };
  for (let at = 0; at < w * h; at += 1) put(at, depth(at), 1);
  for (const at of torn) {
    const around = corners.map((step) => depth(at + step));
    const middle = (Math.max(...around) + Math.min(...around)) / 2;
    for (const near of [true, false]) {
      const own = around.map((value) => (value > middle === near ? 1 : 0));
      const count = own.reduce((a, b) => a + b, 0);
      const mean = around.reduce((sum, value, n) => sum + value * own[n], 0) / count;
      const base = next / 4;
      corners.forEach((step, n) => put(at + step, own[n] ? around[n] : mean, own[n]));
      triangles.push(base, base + 2, base + 1, base + 1, base + 2, base + 3);
    }
  }
  return { vertices, triangles: Uint32Array.from(triangles) };
}

/** @param {PictureMeshes} meshes @param {number} at @param {number} w */
function parted({ inverse }, at, w) {
  const [a, b, c, d] = [inverse[at], inverse[at + 1], inverse[at + w], inverse[at + w + 1]];
  const high = Math.max(a, b, c, d);
  return high - Math.min(a, b, c, d) > ONE_SURFACE * high;
}

/** The centre of a grid's pixel; the outermost reach the picture's edge. @param {number} at @param {number} count */
function edge(at, count) {
  if (at === 0) return 0;
  return at === count - 1 ? 1 : (at + 0.5) / count;
}
