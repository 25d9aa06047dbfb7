/** The points without WebGL: squares written into a picture, nearest first by a depth for every pixel. */

import { rigidInverse } from "../math/linear.mjs";

export const LARGEST = 7; // CSS pixels
export const UNSEEN_SHARE = 0.35; // how bright a point is that the tracker does not see in this frame

export function createRaster(canvas) {
  return new Raster(canvas, canvas.getContext("2d"));
}

class Raster {
  kind = "2d";
  #canvas;
  #context;
  #colours = new Uint8Array(0);
  #positions = new Float32Array(0);
  #seen = new Uint8Array(0);
  #pictures = new Map();

  constructor(canvas, context) {
    this.#canvas = canvas;
    this.#context = context;
  }

  setColours(colours) {
    this.#colours = colours;
  }

  setPositions(positions, seen) {
    this.#positions = positions;
    this.#seen = seen;
  }

  draw(views, ratio) {
    for (const [index, view] of views.entries()) {
      const width = Math.max(1, Math.round(view.lens.width * ratio));
      const height = Math.max(1, Math.round(view.lens.height * ratio));
      const picture = this.#picture(index, width, height);
      picture.pixels.fill(0);
      picture.depths.fill(Infinity);
      this.#scatter(view, ratio, picture);
      this.#context.putImageData(picture.image, Math.round(view.left * ratio), Math.round(view.top * ratio));
    }
  }

  dispose() {
    this.#pictures.clear();
    this.#canvas.width = 0;
  }

  #picture(index, width, height) {
    let picture = this.#pictures.get(index);
    if (picture?.image.width !== width || picture.image.height !== height) {
      const image = this.#context.createImageData(width, height);
      picture = { image, pixels: new Uint32Array(image.data.buffer), depths: new Float32Array(width * height) };
      this.#pictures.set(index, picture);
    }
    return picture;
  }

  #scatter({ lens, size, smallest }, ratio, { image, pixels, depths }) {
    const [positions, colours, seen] = [this.#positions, this.#colours, this.#seen];
    const m = rigidInverse(lens.worldFromCamera);
    const [fx, skew, cx, , fy, cy] = Array.from(lens.intrinsics, (value) => value * ratio);
    const { width, height } = image;
    for (let n = 0; n < seen.length; n += 1) {
      const [x, y, z] = [positions[3 * n], positions[3 * n + 1], positions[3 * n + 2]];
      const depth = m[8] * x + m[9] * y + m[10] * z + m[11];
      if (!(depth > lens.near) || depth > lens.far) continue;
      const cameraX = m[0] * x + m[1] * y + m[2] * z + m[3];
      const cameraY = m[4] * x + m[5] * y + m[6] * z + m[7];
      const side = Math.min(Math.max((size * fx) / depth, smallest * ratio), LARGEST * ratio);
      const left = Math.round((fx * cameraX + skew * cameraY) / depth + cx - side / 2);
      const top = Math.round((fy * cameraY) / depth + cy - side / 2);
      const span = Math.round(side);
      if (left + span <= 0 || top + span <= 0 || left >= width || top >= height) continue;
      const alpha = seen[n] ? 255 : Math.round(255 * UNSEEN_SHARE);
      const shade = ((alpha << 24) | (colours[3 * n + 2] << 16) | (colours[3 * n + 1] << 8) | colours[3 * n]) >>> 0;
      const [bottom, right] = [Math.min(top + span, height), Math.min(left + span, width)];
      for (let row = Math.max(top, 0); row < bottom; row += 1) {
        for (let at = row * width + Math.max(left, 0); at < row * width + right; at += 1) {
          if (depth < depths[at]) {
            depths[at] = depth;
            pixels[at] = shade;
          }
        }
      }
    }
  }
}
