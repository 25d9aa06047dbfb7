/**
 * Draws the clip's picture of a frame as a mesh in the new camera's view, by WebGL2 on a canvas of its own. Where nothing of
 * the frame is seen the canvas stays clear.
 */

import { colorsOf, meshOf } from "../math/picture_mesh.mjs";
import { clipFromWorld } from "./lenses.mjs";

const VERTEX = `#version 300 es
uniform mat4 clipFromCamera;
uniform vec4 lens; // focal lengths and principal point, in shares of the picture
uniform float skew;
layout(location = 0) in vec4 point; // share of width and height, inverse depth, whether it is the surface's own
out vec2 place;
out float own;
void main() {
  float y = (point.y - lens.w) / lens.y;
  float x = (point.x - lens.z - skew * y) / lens.x;
  gl_Position = clipFromCamera * vec4(vec3(x, y, 1.0) / point.z, 1.0);
  place = point.xy;
  own = point.w;
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
uniform sampler2D picture;
in vec2 place;
in float own;
out vec4 pixel;
void main() {
  if (own < 0.5) discard;
  pixel = vec4(texture(picture, place).rgb, 1.0);
}`;

/** @param {HTMLCanvasElement} canvas a fresh one @returns {MeshRenderer|null} null where there is no WebGL2 */
export function createMeshRenderer(canvas) {
  const gl = canvas.getContext("webgl2", { alpha: true, antialias: false, powerPreference: "low-power" });
  return gl ? new MeshRenderer(canvas, gl) : null;
}

class MeshRenderer {
  #canvas;
  #program;
  #places;
  #buffers;
  #texture;
  #meshes = null;
  #kept = -1;
  #count = 0;
  #numbers = 0; // the kind of the triangles' numbers

  constructor(canvas, gl) {
    this.gl = gl;
    this.#canvas = canvas;
    this.#program = linked(gl);
    gl.useProgram(this.#program);
    this.#places = Object.fromEntries(
      ["clipFromCamera", "lens", "skew"].map((name) => [name, gl.getUniformLocation(this.#program, name)]),
    );
    this.#buffers = [gl.createBuffer(), gl.createBuffer()];
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers[0]);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 4, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.#buffers[1]);
    this.#texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.#texture);
    for (const [name, value] of [["WRAP_S", "CLAMP_TO_EDGE"], ["WRAP_T", "CLAMP_TO_EDGE"], ["MIN_FILTER", "LINEAR_MIPMAP_LINEAR"], ["MAG_FILTER", "LINEAR"]]) {
      gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${name}`], gl[value]);
    }
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.CULL_FACE);
    gl.frontFace(gl.CCW);
  }

  /**
   * @param {import("../math/picture_mesh.mjs").PictureMeshes} meshes @param {number} kept which of their frames
   * @param {{worldFromCamera, intrinsics}} source the clip's camera at that frame @param {{width, height}} clip its pictures
   * @param {import("./lenses.mjs").Lens} lens of the new camera in its pane @param {number} ratio canvas pixels a CSS pixel
   */
  draw(meshes, kept, source, clip, lens, ratio) {
    const gl = this.gl;
    const [width, height] = [lens.width, lens.height].map((side) => Math.max(1, Math.round(side * ratio)));
    if (this.#canvas.width !== width || this.#canvas.height !== height) [this.#canvas.width, this.#canvas.height] = [width, height];
    if (meshes !== this.#meshes || kept !== this.#kept) this.#fill(meshes, kept);
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const k = source.intrinsics;
    gl.uniform4f(this.#places.lens, k[0] / clip.width, k[4] / clip.height, k[2] / clip.width, k[5] / clip.height);
    gl.uniform1f(this.#places.skew, k[1] / clip.width);
    gl.uniformMatrix4fv(this.#places.clipFromCamera, false, fromCamera(clipFromWorld(lens), source.worldFromCamera));
    gl.drawElements(gl.TRIANGLES, this.#count, this.#numbers, 0);
  }

  dispose() {
    const gl = this.gl;
    for (const buffer of this.#buffers) gl.deleteBuffer(buffer);
    gl.deleteTexture(this.#texture);
    gl.deleteProgram(this.#program);
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  #fill(meshes, kept) {
    const gl = this.gl;
    const { vertices, triangles } = meshOf(meshes, kept);
    gl.bufferData(gl.ARRAY_BUFFER, vertices, gl.DYNAMIC_DRAW);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, triangles, gl.DYNAMIC_DRAW);
    const { width, height } = meshes.colour;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, width, height, 0, gl.RGB, gl.UNSIGNED_BYTE, colorsOf(meshes, kept));
    gl.generateMipmap(gl.TEXTURE_2D); // panes may be smaller than the pictures
    this.#count = triangles.length;
    this.#numbers = triangles.BYTES_PER_ELEMENT === 2 ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT;
    [this.#meshes, this.#kept] = [meshes, kept];
  }
}

/** clipFromWorld, column after column, times a pose, row after row. */
function fromCamera(clip, pose) {
  const result = new Float32Array(16);
  for (let column = 0; column < 4; column += 1) {
    for (let row = 0; row < 4; row += 1) {
      for (let inner = 0; inner < 4; inner += 1) result[4 * column + row] += clip[4 * inner + row] * pose[4 * inner + column];
    }
  }
  return result;
}

function linked(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    gl.deleteShader(shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(`The picture's shader does not build: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}
