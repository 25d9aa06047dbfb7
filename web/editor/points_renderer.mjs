/**
 * Draws the points of a scene through one or more lenses on one canvas: WebGL2, or plain pixels where there is none.
 *
 * A renderer has `kind`, `setColours(colours)`, `setPositions(positions, seen)`, `draw(views, ratio)`, `clear(view, ratio)`
 * and `dispose()`.
 * A view is {lens, left, top, size, smallest}: a lens, where its pane lies on the canvas in CSS pixels, a point's size
 * in world units and the least it takes in CSS pixels. Canvas pixels are CSS pixels times `ratio`.
 */

import { clipFromWorld } from "./lenses.mjs";
import { LARGEST, UNSEEN_SHARE, createRaster } from "./points_raster.mjs";

const VERTEX = `#version 300 es
uniform mat4 clipFromWorld;
uniform float size;
uniform vec2 bounds;
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 colour;
layout(location = 2) in float seen;
out vec4 shade;
void main() {
  gl_Position = clipFromWorld * vec4(position, 1.0);
  gl_PointSize = clamp(size / max(gl_Position.w, 1e-9), bounds.x, bounds.y);
  float share = mix(${UNSEEN_SHARE}, 1.0, seen);
  shade = vec4(colour * share, share);
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 shade;
out vec4 pixel;
void main() { pixel = shade; }`;

// A WebGL2 that the processor plays takes 3 microseconds a point; plain pixels take a tenth of that.
const PLAYED_BY_PROCESSOR = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** @typedef {"auto"|"webgl2"|"2d"} RendererKind `auto` is WebGL2 where a graphics card draws it */

/** @param {HTMLCanvasElement} canvas a fresh one @param {RendererKind} [kind] */
export function createPointsRenderer(canvas, kind = "auto") {
  if (kind === "2d" || (kind === "auto" && !hasGraphicsCard())) return createRaster(canvas);
  const gl = canvas.getContext("webgl2", { alpha: true, antialias: false, powerPreference: "low-power" });
  return gl ? new GlPoints(canvas, gl) : createRaster(canvas);
}

let graphicsCard; // asked once a page: every question takes a context

function hasGraphicsCard() {
  if (graphicsCard === undefined) {
    const gl = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
    const names = gl?.getExtension("WEBGL_debug_renderer_info");
    const name = gl?.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
    graphicsCard = gl ? !PLAYED_BY_PROCESSOR.test(name) : false;
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
  return graphicsCard;
}

class GlPoints {
  kind = "webgl2";
  #canvas;
  #gl;
  #program;
  #buffers;
  #places;
  #count = 0;

  constructor(canvas, gl) {
    this.#canvas = canvas;
    this.#gl = gl;
    this.#program = linked(gl);
    gl.useProgram(this.#program);
    this.#places = Object.fromEntries(
      ["clipFromWorld", "size", "bounds"].map((name) => [name, gl.getUniformLocation(this.#program, name)]),
    );
    this.#buffers = [0, 1, 2].map(() => gl.createBuffer());
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.SCISSOR_TEST);
  }

  get gl() {
    return this.#gl;
  }

  setColours(colours) {
    this.#count = colours.length / 3;
    this.#fill(1, colours, 3, this.#gl.UNSIGNED_BYTE, this.#gl.STATIC_DRAW);
  }

  setPositions(positions, seen) {
    this.#fill(0, positions, 3, this.#gl.FLOAT, this.#gl.DYNAMIC_DRAW);
    this.#fill(2, seen, 1, this.#gl.UNSIGNED_BYTE, this.#gl.DYNAMIC_DRAW);
  }

  draw(views, ratio) {
    const gl = this.#gl;
    for (const { lens, left, top, size, smallest } of views) {
      const box = [left, this.#canvas.height / ratio - top - lens.height, lens.width, lens.height];
      const pixels = box.map((value) => Math.round(value * ratio));
      gl.viewport(...pixels);
      gl.scissor(...pixels);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.uniformMatrix4fv(this.#places.clipFromWorld, false, clipFromWorld(lens));
      gl.uniform1f(this.#places.size, size * lens.intrinsics[0] * ratio);
      gl.uniform2f(this.#places.bounds, smallest * ratio, LARGEST * ratio);
      if (this.#count > 0) gl.drawArrays(gl.POINTS, 0, this.#count);
    }
  }

  /** Nothing in a view's pane. */
  clear({ lens, left, top }, ratio) {
    const gl = this.#gl;
    gl.scissor(...[left, this.#canvas.height / ratio - top - lens.height, lens.width, lens.height].map((value) => Math.round(value * ratio)));
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  dispose() {
    const gl = this.#gl;
    for (const buffer of this.#buffers) gl.deleteBuffer(buffer);
    gl.deleteProgram(this.#program);
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  #fill(index, values, parts, type, usage) {
    const gl = this.#gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers[index]);
    gl.bufferData(gl.ARRAY_BUFFER, values, usage);
    gl.enableVertexAttribArray(index);
    gl.vertexAttribPointer(index, parts, type, index > 0 && parts === 3, 0, 0);
  }
}

function linked(gl) {
  const program = gl.createProgram();
  const shaders = [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]].map(([kind, text]) => {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    return shader;
  });
  gl.linkProgram(program);
  for (const shader of shaders) gl.deleteShader(shader);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(`The point shader does not build: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}
