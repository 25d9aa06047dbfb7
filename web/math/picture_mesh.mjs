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
 * @property {Uint16Array|Uint32Array} triangles 3 vertices each
 */

import { multiply4, rigidInverse } from "./linear.mjs";
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
  const { step } = meshes;
  const { width: w, height: h } = meshes.size;
  const inverse = meshes.inverse.subarray(kept * w * h, (kept + 1) * w * h);
  const bits = kept * Math.ceil(((h - 1) * (w - 1)) / 8);
  const torn = tornCells(meshes, inverse, bits);
  const vertices = new Float32Array(4 * (w * h + 8 * torn.length));
  const Numbers = vertices.length / 4 <= 65_536 ? Uint16Array : Uint32Array;
  const triangles = new Numbers(6 * ((w - 1) * (h - 1) + torn.length));
  const [across, down] = [shares(w), shares(h)];
  let next = 0;
  for (let row = 0, at = 0; row < h; row += 1) {
    for (let column = 0; column < w; column += 1, at += 1) {
      vertices[next] = across[column];
      vertices[next + 1] = down[row];
      vertices[next + 2] = step * inverse[at];
      vertices[next + 3] = 1;
      next += 4;
    }
  }
  let place = 0;
  const cell = (/** @type {number} */ a, /** @type {number} */ below) => {
    triangles[place] = a;
    triangles[place + 1] = triangles[place + 4] = below;
    triangles[place + 2] = triangles[place + 3] = a + 1;
    triangles[place + 5] = below + 1;
    place += 6;
  };
  let index = 0;
  for (let row = 0; row < h - 1; row += 1) {
    for (let column = 0, at = row * w; column < w - 1; column += 1, at += 1) {
      if (torn[index] === at) index += 1;
      else cell(at, at + w);
    }
  }
  for (const at of torn) {
    const corners = [at, at + 1, at + w, at + w + 1];
    const around = corners.map((corner) => inverse[corner]);
    const middle = (Math.max(...around) + Math.min(...around)) / 2;
    for (const near of [true, false]) {
      const own = around.map((value) => (value > middle === near ? 1 : 0));
      const mean = around.reduce((sum, value, n) => sum + value * own[n], 0) / own.reduce((a, b) => a + b, 0);
      cell(next / 4, next / 4 + 2);
      corners.forEach((corner, n) => {
        vertices[next] = across[corner % w];
        vertices[next + 1] = down[Math.floor(corner / w)];
        vertices[next + 2] = step * (own[n] ? around[n] : mean);
        vertices[next + 3] = own[n];
        next += 4;
      });
    }
  }
  return { vertices, triangles };
}

/** The first points of the cells that are torn, in order. @param {PictureMeshes} meshes @param {Uint16Array} inverse @param {number} bits */
function tornCells({ torn, size }, inverse, bits) {
  const { width: w, height: h } = size;
  const cells = [];
  for (let number = 0; number < (w - 1) * (h - 1); number += 1) {
    if (!((torn[bits + (number >> 3)] >> (number & 7)) & 1)) continue;
    const at = number + Math.floor(number / (w - 1));
    if (parted(inverse, at, w)) cells.push(at);
  }
  return cells;
}

/** @param {Uint16Array} inverse @param {number} at @param {number} w */
function parted(inverse, at, w) {
  const [a, b, c, d] = [inverse[at], inverse[at + 1], inverse[at + w], inverse[at + w + 1]];
  const high = Math.max(a, b, c, d);
  return high - Math.min(a, b, c, d) > ONE_SURFACE * high;
}

/** The centres of a grid's pixels; the outermost reach the picture's edge. @param {number} count */
function shares(count) {
  return Float64Array.from({ length: count }, (_, at) => (at === 0 ? 0 : at === count - 1 ? 1 : (at + 0.5) / count));
}

/** Points of the grid between two that are asked where they come to lie. */
const COARSE = 2;
/** Pixels of the counted picture that neighbours may lie apart and still show what is between them. */
const LARGEST_CELL = 6;

/**
 * Mark the pixels of another view that a kept frame shows.
 * @param {PictureMeshes} meshes @param {number} kept
 * @param {{worldFromCamera: ArrayLike<number>, intrinsics: ArrayLike<number>}} source the clip's camera at that frame
 * @param {{worldFromCamera: ArrayLike<number>, intrinsics: ArrayLike<number>}} target the other view
 * @param {{width: number, height: number}} clip pixels of both lenses
 * @param {{columns: number, rows: number, shown: Uint8Array}} counted a small picture of the other view
 */
export function markShown(meshes, kept, source, target, clip, counted) {
  const { width: w, height: h } = meshes.size;
  const { columns, rows, shown } = counted;
  const first = kept * w * h;
  const bits = kept * Math.ceil(((h - 1) * (w - 1)) / 8);
  const m = multiply4(rigidInverse(/** @type {any} */ (target.worldFromCamera)), /** @type {any} */ (source.worldFromCamera));
  const [k, q] = [source.intrinsics, target.intrinsics];
  const [scaleX, scaleY] = [columns / clip.width, rows / clip.height];
  const across = Math.ceil((w - 1) / COARSE) + 1;
  const down = Math.ceil((h - 1) / COARSE) + 1;
  const at = (/** @type {number} */ n, /** @type {number} */ count) => Math.min(n * COARSE, count - 1);
  const places = new Float64Array(2 * across * down);
  for (let j = 0, n = 0; j < down; j += 1) {
    const row = at(j, h);
    const v = (row === 0 ? 0 : row === h - 1 ? 1 : (row + 0.5) / h) * clip.height;
    const y = (v - k[5]) / k[4];
    for (let i = 0; i < across; i += 1, n += 2) {
      const column = at(i, w);
      const u = (column === 0 ? 0 : column === w - 1 ? 1 : (column + 0.5) / w) * clip.width;
      const x = (u - k[2] - k[1] * y) / k[0];
      const inverse = meshes.step * meshes.inverse[first + row * w + column];
      const far = m[8] * x + m[9] * y + m[10] + m[11] * inverse;
      if (!(far > 1e-6)) {
        places[n] = NaN;
        continue;
      }
      const seenY = (m[4] * x + m[5] * y + m[6] + m[7] * inverse) / far;
      const seenX = (m[0] * x + m[1] * y + m[2] + m[3] * inverse) / far;
      places[n] = (q[0] * seenX + q[1] * seenY + q[2]) * scaleX;
      places[n + 1] = (q[4] * seenY + q[5]) * scaleY;
    }
  }
  const torn = (/** @type {number} */ row, /** @type {number} */ column) => {
    for (let r = row; r < Math.min(row + COARSE, h - 1); r += 1) {
      for (let c = column; c < Math.min(column + COARSE, w - 1); c += 1) {
        const cell = r * (w - 1) + c;
        if ((meshes.torn[bits + (cell >> 3)] >> (cell & 7)) & 1) return true;
      }
    }
    return false;
  };
  const mark = (/** @type {number} */ left, /** @type {number} */ right, /** @type {number} */ top, /** @type {number} */ bottom) => {
    for (let row = Math.max(Math.ceil(top - 0.5), 0); row <= Math.min(Math.floor(bottom - 0.5), rows - 1); row += 1) {
      for (let column = Math.max(Math.ceil(left - 0.5), 0); column <= Math.min(Math.floor(right - 0.5), columns - 1); column += 1) {
        shown[row * columns + column] = 1;
      }
    }
  };
  for (let j = 0; j < down - 1; j += 1) {
    for (let i = 0; i < across - 1; i += 1) {
      const a = 2 * (j * across + i);
      const [b, c, d] = [a + 2, a + 2 * across, a + 2 * across + 2];
      const [ax, bx, cx, dx] = [places[a], places[b], places[c], places[d]];
      const [ay, by, cy, dy] = [places[a + 1], places[b + 1], places[c + 1], places[d + 1]];
      const [left, right] = [Math.min(ax, bx, cx, dx), Math.max(ax, bx, cx, dx)];
      const [top, bottom] = [Math.min(ay, by, cy, dy), Math.max(ay, by, cy, dy)];
      if (!(right - left <= LARGEST_CELL && bottom - top <= LARGEST_CELL)) continue; // also where one is behind the camera
      if (right < 0 || bottom < 0 || left > columns || top > rows) continue;
      if ((dx - ax) * (cy - by) - (dy - ay) * (cx - bx) <= 0) continue; // seen from behind
      if (!torn(at(j, h), at(i, w))) mark(left, right, top, bottom);
      else for (const corner of [a, b, c, d]) mark(places[corner] - 0.5, places[corner] + 0.5, places[corner + 1] - 0.5, places[corner + 1] + 0.5);
    }
  }
}
