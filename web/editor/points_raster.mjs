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
  #shades = new Uint32Array(0); // a pixel of each point
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
    const colours = this.#colours;
    if (this.#shades.length !== seen.length) this.#shades = new Uint32Array(seen.length);
    for (let n = 0; n < seen.length; n += 1) {
      const alpha = seen[n] ? 255 : Math.round(255 * UNSEEN_SHARE);
      this.#shades[n] = ((alpha << 24) | (colours[3 * n + 2] << 16) | (colours[3 * n + 1] << 8) | colours[3 * n]) >>> 0;
    }
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

  clear({ lens, left, top }, ratio) {
    this.#context.clearRect(left * ratio, top * ratio, lens.width * ratio, lens.height * ratio);
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

  // The one hot loop of the editor: plain numbers, nothing made anew.
  #scatter({ lens, size, smallest }, ratio, { image, pixels, depths }) {
    const positions = this.#positions;
    const shades = this.#shades;
    const m = rigidInverse(lens.worldFromCamera);
    const [fx, skew, cx, , fy, cy] = Array.from(lens.intrinsics, (value) => value * ratio);
    const { near, far } = lens;
    const { width, height } = image;
    const [reach, least, most] = [size * fx, smallest * ratio, LARGEST * ratio];
    for (let n = 0, at = 0; n < shades.length; n += 1, at += 3) {
      const x = positions[at];
      const y = positions[at + 1];
      const z = positions[at + 2];
      const depth = m[8] * x + m[9] * y + m[10] * z + m[11];
      if (!(depth > near) || depth > far) continue;
      const cameraY = m[4] * x + m[5] * y + m[6] * z + m[7];
      const side = Math.min(Math.max(reach / depth, least), most);
      const span = Math.round(side);
      const top = Math.round((fy * cameraY) / depth + cy - side / 2);
      if (top + span <= 0 || top >= height) continue;
      const cameraX = m[0] * x + m[1] * y + m[2] * z + m[3];
      const left = Math.round((fx * cameraX + skew * cameraY) / depth + cx - side / 2);
      if (left + span <= 0 || left >= width) continue;
      const bottom = Math.min(top + span, height);
      const from = Math.max(left, 0);
      const until = Math.min(left + span, width);
      const shade = shades[n];
      for (let row = Math.max(top, 0); row < bottom; row += 1) {
        for (let pixel = row * width + from; pixel < row * width + until; pixel += 1) {
          if (depth < depths[pixel]) {
            depths[pixel] = depth;
            pixels[pixel] = shade;
          }
        }
      }
    }
  }
}
