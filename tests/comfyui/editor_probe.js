// What the tests of the Camera Path Editor ask of an open page.
window.probe = {
  editors() {
    const found = app.graph._nodes.filter((node) => node.type === "Track2View_CameraEditor");
    return found.sort((a, b) => a.id - b.id); // a click brings a node to the front of the graph's own list
  },
  node: () => probe.editors()[0],
  editor: () => probe.node().track2viewEditor,
  text: () => probe.node().widgets.find((widget) => widget.name === "document").value,
  document: () => JSON.parse(probe.text()),
  module: (name) => import(`/extensions/track2view/${name}.mjs`),
  graph: () => ({ scale: app.canvas.ds.scale, offset: [...app.canvas.ds.offset] }),
  /** Load a graph, with its editors at a size and the first of them at the window's corner, at a zoom. */
  async load(graph, zoom) {
    document.activeElement?.blur();
    for (const node of graph.nodes) if (node.type === "Track2View_CameraEditor") node.size = [720, 640];
    await app.loadGraphData(graph);
    const node = probe.node();
    app.canvas.ds.scale = zoom;
    app.canvas.ds.offset = [90 / zoom - node.pos[0], 130 / zoom - node.pos[1]];
    app.canvas.setDirty(true, true);
    await probe.settle();
  },
  /** Until ComfyUI has laid out its elements and the editor has drawn. */
  async settle(frames = 8) {
    for (let count = 0; count < frames; count += 1) await new Promise(requestAnimationFrame);
    await new Promise((done) => setTimeout(done, 60));
  },
  /** Until the graph has stood for some drawn frames, as at the end of a flight of its view, however slow. */
  async rest(frames = 10) {
    let last = "";
    for (let still = 0; still < frames; await new Promise(requestAnimationFrame)) {
      const now = JSON.stringify(probe.graph());
      still = now === last ? still + 1 : 0;
      last = now;
    }
  },
  /** Page pixels of a point of an element, given in the element's own pixels. */
  place(element, x, y) {
    const box = element.getBoundingClientRect();
    return [box.left + (x * box.width) / element.clientWidth, box.top + (y * box.height) / element.clientHeight];
  },
  middle: (selector, x = 0.5, y = 0.5) => {
    const element = probe.editor().element.querySelector(selector);
    return probe.place(element, x * element.clientWidth, y * element.clientHeight);
  },
  pane: (index) => probe.editor().element.querySelectorAll(".t2v-pane")[index],
  async key(index) {
    const { handlesOf } = await probe.module("editor/world_view");
    const { projector } = await probe.module("editor/lenses");
    const at = projector(probe.editor().worldLens())(handlesOf(probe.editor().store)[index].world);
    return probe.place(probe.pane(0), at.x, at.y);
  },
  async time(frame) {
    const { placeOf } = await probe.module("editor/timeline");
    const area = probe.editor().element.querySelector(".t2v-timeline");
    return probe.place(area, placeOf(frame, area.clientWidth, probe.editor().store.clip.frames), 58);
  },
  async point(index) {
    const { projector } = await probe.module("editor/lenses");
    const editor = probe.editor();
    const { positionsAt } = await probe.module("math/points");
    const all = positionsAt(editor.store.points, editor.store.frame);
    const at = projector(editor.cameraLens())(all.subarray(3 * index, 3 * index + 3));
    return probe.place(probe.pane(1), at.x, at.y);
  },
  /** What the new camera's pane shows at a frame: its picture's rows from the top, RGBA, and where the clip's picture lies in it. */
  async picture(frame) {
    const { pictureIn } = await probe.module("editor/lenses");
    const editor = probe.editor();
    editor.store.setFrame(frame);
    editor.drawNow();
    const { gl } = editor.painter.picture;
    const [width, height] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
    const pixels = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    let text = "";
    for (let at = 0; at < pixels.length; at += 8192) text += String.fromCharCode(...pixels.subarray(at, at + 8192));
    const pane = probe.pane(1);
    const shown = pictureIn(pane.clientWidth, pane.clientHeight, editor.store.clip);
    const ratio = width / pane.clientWidth;
    return { width, height, pixels: btoa(text), box: ["x", "y", "width", "height"].map((name) => Math.round(shown[name] * ratio)) };
  },
  chip: (name) => probe.place(probe.editor().element.querySelector(`[data-preset="${name}"]`), 8, 8),
  camera: () => Array.from(probe.editor().cameraLens().worldFromCamera),
  /** Copy, and get the text; or paste it. */
  clipboard(kind, text = "") {
    const clipboardData = new DataTransfer();
    if (text) clipboardData.setData("text/plain", text);
    const event = new ClipboardEvent(kind, { clipboardData, bubbles: true, cancelable: true });
    probe.editor().focus();
    document.activeElement.dispatchEvent(event);
    return clipboardData.getData("text/plain");
  },
  /** Queue the graph as the Run button does, and wait for its end. @returns what the editor's node sent, if it ran */
  async run() {
    let sent = null;
    const heard = ({ detail }) => (sent = String(detail.node) === String(probe.node().id) ? detail.output : sent);
    app.api.addEventListener("executed", heard);
    const ended = new Promise((done, fail) => {
      app.api.addEventListener("execution_success", done, { once: true });
      app.api.addEventListener("execution_error", (event) => fail(new Error(event.detail.exception_message)), { once: true });
    });
    await app.queuePrompt(0, 1);
    await ended;
    for (let count = 0; count < 100 && !probe.editor().store.meshes; count += 1) await probe.settle(1);
    app.api.removeEventListener("executed", heard);
    return sent;
  },
};
